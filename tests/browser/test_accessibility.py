"""No page breaks a rule that axe-core knows, in either theme; no page needs more width than a phone has."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import workflow

AXE = Path(__file__).parents[1] / "e2e" / "node_modules" / "axe-core" / "axe.min.js"
CHECK = """axe.run({ resultTypes: ['violations'] }).then((found) => found.violations.map(
    (each) => [each.id, each.nodes.map((node) => node.html.slice(0, 200) + ' ' + (node.any[0]?.message ?? ''))]))"""

CLUSTER_TABS = {
    "overview": ".backend",
    "security-policy": "tbody .command",
    "environments": "tbody .title",
    "secrets": "tbody .title",
    "dead-letters": "tbody .title",
    "registrations": "tbody .title",
    "global-workflows": ".facts",
}


def violations(page: Page) -> object:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    return page.evaluate(CHECK)


@pytest.fixture
def furnished(org: Org) -> Org:
    """Something of everything, so that every part of every page is there."""
    orchestrator = org.orchestrator()
    orchestrator.connect()
    orchestrator.alert("disk", "Disk is full", "CRITICAL")
    orchestrator.alert("fan", "Fan is loud", "WARNING")
    orchestrator.alert("news", "A new version is out", "INFO")
    orchestrator.report_workflows(workflow("build"), workflow("old", enabled=False))
    job = {
        "jobId": "job-1",
        "name": "build",
        "status": "FAILED",
        "steps": [{"number": 0, "name": "test", "status": "FAILED", "exitCode": 1}],
    }
    orchestrator.report_run("run-1", "FAILED", workflowName="build", failureReason="exit code 1", jobs=[job])
    orchestrator.report_run("run-2", "RUNNING", workflowName="build")
    orchestrator.report_lines("run-1", ["hello", "\x1b[31mred\x1b[0m \x1b[33myellow\x1b[0m"])
    orchestrator.report_lines("run-1", ["later"], first=5)
    orchestrator.report_settings(
        securityPolicy={
            "settings": [{"key": "forkPolicy", "value": "hold"}],
            "writes": [{"operation": "registration.disable", "allowed": False}],
        },
        environments=[{"name": "production", "variableNames": ["REGION"]}],
        secretScopes=[{"name": "deploy", "secretNames": ["SSH_KEY"]}],
        deadLetters=[{"id": "letter-1", "eventName": "push", "reason": "timeout", "lastError": "no answer"}],
        globalWorkflows={"enabled": True, "allowedRepositories": ["acme/*"]},
        secretBackends=[{"name": "vault", "type": "vault", "connected": True, "lastError": "sealed"}],
    )
    away = org.orchestrator("south", "orchestrator-2")
    away.connect()
    away.disconnect()
    return org


@pytest.mark.timeout(180)  # axe takes its time on each of two dozen places
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit: Visit, furnished: Org, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core: make node-deps")
    # A transition that is under way has colours that are nobody's, so there are none.
    page = visit(f"{furnished.path}/diagnostics", color_scheme=theme, reduced_motion="reduce")
    expect(page.locator(".row.agent")).to_have_count(4)
    found = {"diagnostics": violations(page)}
    page.locator(".row.orchestrator").first.get_by_role("button", name="Details").click()
    expect(page.get_by_role("dialog", name="Details of")).to_be_visible()
    found["details"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Acknowledge").first.click()
    expect(page.get_by_role("dialog", name="Acknowledge")).to_be_visible()
    found["dialog"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Account").click()
    expect(page.get_by_role("menu")).to_be_visible()
    found["menu"] = violations(page)
    for address, there in (
        (f"{furnished.path}/workflows", "tbody .title"),
        (f"{furnished.path}/runs", "tbody .title"),
        ("/runs/run-1", ".log-line.gap"),
        (f"{furnished.path}/orchestrators", "tbody .title"),
        *((f"{furnished.path}/orchestrators/north/{tab}", there) for tab, there in CLUSTER_TABS.items()),
        (f"{furnished.path}/orchestrators/south/environments", ".empty"),
        (f"{furnished.path}/settings/tokens", "tbody .title"),
        (f"{furnished.path}/settings/audit", "tbody code"),
        ("/playground", ".entries"),
        ("/orgs/nobody/runs", "h1"),
    ):
        page.goto(address)
        expect(page.locator(there).first).to_be_visible()
        if address.endswith("/workflows"):
            page.get_by_role("button", name="Triggers and runs of build").click()
            expect(page.locator(".trigger:visible").first).to_be_visible()
        if address.endswith("/tokens"):
            page.get_by_role("button", name="Create a token").click()
            expect(page.get_by_role("dialog")).to_be_visible()
        found[address] = violations(page)
    page.context.clear_cookies()
    page.goto("/")
    expect(page.get_by_label("Token")).to_be_visible()
    found["sign in"] = violations(page)
    wrong = [f"{place}: {those}" for place, those in found.items() if those]
    assert not wrong, "\n".join(wrong)
