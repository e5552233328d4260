"""Tokens and the audit log, for admins."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Org, Visit


def test_a_token_is_created_shown_once_used_and_revoked(visit: Visit, org: Org) -> None:
    page = visit(f"{org.path}/workflows")
    page.get_by_role("button", name="Account").click()
    page.get_by_role("menuitem", name="Settings").click()
    page.get_by_role("button", name="Create a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("laptop of Ada")
    dialog.get_by_role("radio", name="Operator").check()
    dialog.get_by_label("Expires in").select_option("7")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_contain_text("shown this once")
    secret = dialog.locator(".command").first.inner_text()
    dialog.get_by_role("button", name="I have it").click()
    row = page.locator("tbody tr", has_text="laptop of Ada")
    for text in ("Operator", "Expires in 6 d", "never"):
        expect(row).to_contain_text(text)
    assert secret not in page.content()
    assert org.server.execute("{ viewer { scope } }", secret)["viewer"]["scope"] == "OPERATOR"
    holder = visit(f"{org.path}/runs", token=secret)
    expect(holder.get_by_role("heading", name="Runs")).to_be_visible()
    row.get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    expect(holder.get_by_text("revoked")).to_be_visible()
    page.get_by_role("button", name="Show 1 token that no longer works").click()
    expect(row).to_contain_text("Revoked")


def test_an_orchestrators_token_comes_with_what_to_do_with_it(visit: Visit, org: Org) -> None:
    org.orchestrator("north").connect()
    page = visit(f"{org.path}/settings/tokens")
    page.get_by_role("button", name="Create a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("lab")
    dialog.get_by_role("radio", name="Orchestrator").check()
    expect(dialog.get_by_label("Expires in")).to_have_value("")
    dialog.get_by_label("Only for the cluster").fill("north")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".command").last).to_contain_text(re.compile(r"KICI_PLATFORM_URL=ws://.*/ws\s"))
    dialog.get_by_role("button", name="I have it").click()
    expect(page.locator("tbody tr", has_text="lab").first).to_contain_text("cluster north")


def test_the_audit_log_tells_who_did_what(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    orchestrator.alert("disk", "Disk is full")
    visitor = org.token("VIEWER")
    found = org.execute("query ($org: String!) { org(slug: $org) { alerts { nodes { id } } } }", org=org.slug)
    alert = {"alertId": found["org"]["alerts"]["nodes"][0]["id"], "expectedVersion": 1}
    acknowledge = (
        "mutation ($input: AlertAcknowledgeInput!) { alertAcknowledge(input: $input) { __typename } }"
    )
    org.server.execute(acknowledge, visitor, input=alert)
    page = visit(f"{org.path}/settings/audit")
    refused = page.locator("tbody tr", has_text="alertAcknowledge")
    for text in ("Refused", "FORBIDDEN", "viewer-"):
        expect(refused).to_contain_text(text)
    heartbeat = page.locator("tbody tr", has_text="orchestratorHeartbeat")
    expect(heartbeat).to_have_count(0)
    page.get_by_label("Whose acts").select_option("all")
    expect(heartbeat.first).to_contain_text("orchestrator orchestrator-1")
    page.get_by_label("Outcome").select_option("SUCCEEDED")
    expect(refused).to_have_count(0)
    page.get_by_label("Filter by action").fill("tokenCreate")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("token viewer-")
    page.get_by_label("Time").select_option("1")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Filter by token").fill("nobody")
    expect(page.get_by_text("No entry fits the filters")).to_be_visible()


def test_who_is_no_admin_is_told_so(visit: Visit, org: Org) -> None:
    page = visit(f"{org.path}/settings/tokens", token=org.token("OPERATOR"))
    expect(page.get_by_text("Only admins see this")).to_be_visible()
    page.get_by_role("button", name="Account").click()
    expect(page.get_by_role("menuitem", name="Settings")).to_have_count(0)


def test_the_page_knows_all_that_people_can_do() -> None:
    root = Path(__file__).parents[2]
    source = (root / "web/assets/session.js").read_text()
    listed = re.findall(r'"(\w+)"', source.partition("ACTIONS = [")[2].partition("]")[0])
    mutations = (root / "schema.graphql").read_text().partition("type Mutation {")[2].partition("\n}")[0]
    names = re.findall(r"^  (\w+)\(", mutations, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in names if not name.startswith("orchestrator"))
