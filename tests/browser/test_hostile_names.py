"""Whatever somebody calls a thing, it is shown as text, and the page stays whole."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import HOST, agent, scaler, workflow

IMAGE = "<img src=x onerror=\"document.title='pwned'\">"
SCRIPT = "</script><script>document.title='pwned'</script>"
ARABIC = "مرحبا-agent-عربي"
EMOJI = "🦊👩🏽 agent"
LONG = "x" * 250


@pytest.fixture
def hostile(org: Org) -> Org:
    host = HOST | {"hostname": IMAGE, "runningAs": SCRIPT}
    orchestrator = org.orchestrator(instance=IMAGE)
    orchestrator.connect(
        [agent(each, IMAGE, host=host, labels=[IMAGE, LONG]) for each in (IMAGE, ARABIC, EMOJI, LONG)],
        [scaler(IMAGE, labels=[IMAGE], hosts=[IMAGE], configSummary=[{"key": IMAGE, "value": SCRIPT}])],
        version=SCRIPT,
        host=host,
        mode=IMAGE,
        routingKeys=[IMAGE, LONG],
    )
    orchestrator.alert("a", IMAGE + "y" * 1900, "CRITICAL")
    orchestrator.report_workflows(
        workflow(
            IMAGE,
            registrationId="one",
            repository=SCRIPT,
            triggers=[{"type": IMAGE, "config": {IMAGE: [SCRIPT]}}],
        ),
        workflow(LONG, registrationId="two", repository=EMOJI),
    )
    orchestrator.report_run(
        "run-1",
        "FAILED",
        workflowName=IMAGE,
        failureReason=SCRIPT,
        branch=ARABIC,
        triggeredBy=IMAGE,
        commitMessage=IMAGE,
        jobs=[
            {
                "jobId": "job-1",
                "name": IMAGE,
                "status": "FAILED",
                "steps": [{"number": 0, "name": SCRIPT, "status": "FAILED"}],
            }
        ],
    )
    orchestrator.report_lines(
        "run-1", [IMAGE, SCRIPT, "\x1b[31m" + IMAGE, "z" * 5000, "\x1b]8;;javascript:alert(1)\x07link"]
    )
    return org


@pytest.mark.parametrize(
    "section", ["diagnostics", "workflows", "runs", "orchestrators", "orchestrators/north/overview", "run"]
)
def test_hostile_names_are_text(visit: Visit, hostile: Org, section: str) -> None:
    address = "/runs/run-1" if section == "run" else f"{hostile.path}/{section}"
    for width in (1440, 390):
        page = visit(address, viewport={"width": width, "height": 900})
        expect(page.locator("main")).to_contain_text("<img src=x")
        assert page.locator("main img").count() == 0
        assert "pwned" not in page.title()
        # Nothing pushes the page wider than the window.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if section == "diagnostics":
        page = visit(address)
        page.locator(".row.scaler").get_by_role("button", name="Configuration").click()
        expect(page.get_by_role("dialog")).to_contain_text("</script>")
    if section == "run":
        page = visit(address)
        expect(page.locator(".log")).to_contain_text("</script><script>")
