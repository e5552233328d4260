"""The clusters by name, and each one's own pages."""

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import FakeOrchestrator, workflow


@pytest.fixture
def north(org: Org) -> FakeOrchestrator:
    """A cluster that has told everything, beside another one that has other settings."""
    made = org.orchestrator()
    made.connect()
    made.report_workflows(workflow("build"))
    made.report_settings(
        securityPolicy={
            "settings": [{"key": "forkPolicy", "value": "hold"}],
            "writes": [{"operation": "registration.disable", "allowed": False}],
        },
        environments=[
            {
                "name": "production",
                "variableNames": ["REGION"],
                "protectionRules": [{"type": "approval", "description": "two people"}],
            }
        ],
        secretScopes=[{"name": "deploy", "secretNames": ["SSH_KEY"], "bindings": ["environment:production"]}],
        deadLetters=[{"id": "dead-1", "eventName": "deploy.done", "reason": "no listener", "attempts": 3}],
        globalWorkflows={"enabled": True, "allowedRepositories": ["acme/shop"]},
        secretBackends=[
            {"name": "main", "type": "vault", "connected": True, "health": "HEALTHY", "scopes": ["deploy"]}
        ],
    )
    south = org.orchestrator("south", "orchestrator-2")
    south.connect()
    south.report_settings(environments=[{"name": "only-in-the-south"}])
    made.obey()
    return made


def test_every_surface_of_a_cluster(visit: Visit, org: Org, north: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/orchestrators")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("link", name="north").click()
    tabs = page.get_by_role("navigation", name="Pages of the cluster")
    main = page.locator("main")
    expect(main).to_contain_text("orchestrator-1")
    expect(page.get_by_role("region", name="Secret backend main")).to_contain_text("Healthy")
    for tab, *texts in (
        ("Security policy", "forkPolicy", "hold", "registration.disable", "Forbidden"),
        ("Environments", "production", "REGION", "two people"),
        ("Secrets", "deploy", "SSH_KEY", "environment:production"),
        ("Dead letters", "deploy.done", "no listener"),
        ("Registrations", "build", "acme/shop"),
        ("Global workflows", "Enabled", "acme/shop"),
    ):
        tabs.get_by_role("link", name=tab).click()
        for text in texts:
            expect(main).to_contain_text(text)
        expect(main).not_to_contain_text("only-in-the-south")


def test_a_surface_is_live_and_honest(visit: Visit, org: Org, north: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/orchestrators/north/environments")
    main = page.locator("main")
    expect(main).to_contain_text("production")
    north.report_settings(environments=[{"name": "staging"}])
    expect(main).to_contain_text("staging")
    north.disconnect()
    expect(main).to_contain_text("Nobody is connected who could tell")
    expect(main).not_to_contain_text("staging")
    expect(page.locator(".page-head .state")).to_have_text("Disconnected")


def test_a_dead_letter_is_sent_again(visit: Visit, org: Org, north: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/orchestrators/north/dead-letters")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("No dead letters")).to_be_visible()


def test_renaming_shows_the_name_to_come(visit: Visit, org: Org, north: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/orchestrators/north/overview")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("New name").fill("south")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("New name").fill("northwest")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.locator(".page-head")).to_contain_text("→ northwest")


def test_secret_backends_are_tested_and_read(visit: Visit, org: Org, north: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/diagnostics")
    backend = page.get_by_role("region", name="Secret backend main")
    expect(backend).to_contain_text("vault")
    backend.get_by_role("button", name="Test").click()
    expect(page.get_by_text("main answers")).to_be_visible()
    north.refusal = "the vault is sealed"
    backend.get_by_role("button", name="Sync").click()
    expect(page.get_by_text("the vault is sealed")).to_be_visible()
    north.report_settings(
        secretBackends=[
            {
                "name": "main",
                "type": "vault",
                "connected": True,
                "health": "UNREACHABLE",
                "lastError": "sealed",
            }
        ]
    )
    expect(backend).to_contain_text("Unreachable")


def test_a_test_that_takes_long_is_followed(visit: Visit, org: Org, north: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/diagnostics")

    def unfinished(route: Route) -> None:
        answer = route.fetch()
        early = answer.text().replace('"finished":true', '"finished":false')
        route.fulfill(response=answer, body=early.replace('"state":"SUCCEEDED"', '"state":"DELIVERED"'))

    asked: list[str] = []
    page.route("**/graphql", unfinished)
    page.on("request", lambda request: asked.append(request.post_data or ""))
    page.get_by_role("region", name="Secret backend main").get_by_role("button", name="Test").click()
    expect(page.get_by_text("main answers")).to_be_visible()
    assert [each for each in asked if "node(" in each] == []


def test_backends_of_a_cluster_that_left_are_not_shown(
    visit: Visit, org: Org, north: FakeOrchestrator
) -> None:
    page = visit(f"{org.path}/diagnostics")
    backend = page.get_by_role("region", name="Secret backend main")
    expect(backend).to_contain_text("Healthy")
    north.disconnect()
    expect(backend).to_have_count(0)
    north.connect()
    north.report_settings(
        secretBackends=[{"name": "main", "type": "vault", "connected": True, "health": "DEGRADED"}]
    )
    expect(backend).to_contain_text("Degraded")
