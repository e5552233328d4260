"""The infrastructure tree and the alerts, live."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import agent, scaler


def test_the_tree_shows_every_level(visit: Visit, org: Org) -> None:
    org.orchestrator().connect([agent("agent-1"), agent("agent-2"), agent("stateful-1", None)])
    page = visit(f"{org.path}/diagnostics")
    orchestrator = page.locator(".row.orchestrator")
    for text in (
        "orchestrator-1",
        "Coordinator",
        "Connected",
        "build-1",
        "kici",
        "8 CPUs",
        "1.4.2",
        "platform",
    ):
        expect(orchestrator).to_contain_text(text)
    for text in (
        "1000 MB / 16.0 GB",
        "1 h",
        "linux/x64",
        "github:acme/shop",
        "0 running",
        "0 queued",
        "north",
    ):
        expect(orchestrator).to_contain_text(text)
    row = page.locator(".row.scaler")
    for text in ("pool", "Container", "2 / 4", "build-1", "gpu", "kici:os:linux"):
        expect(row).to_contain_text(text)
    first = page.locator(".row.agent").first
    for text in (
        "agent-1",
        "linux/x64",
        "Online",
        "build-1",
        "8 CPUs",
        "250 MB",
        "5 min",
        "1.4.2",
        "0 / 2",
        "gpu",
    ):
        expect(first).to_contain_text(text)
    expect(page.locator(".row.agent", has_text="stateful-1")).to_contain_text("stateful")
    row.get_by_role("button", name="Configuration").click()
    expect(page.get_by_role("dialog", name="Configuration of pool")).to_contain_text("runner:24.04")


def test_the_rest_of_the_labels_is_one_size_in_every_row(visit: Visit, org: Org) -> None:
    labels = [f"label-{number}" for number in range(9)]
    org.orchestrator().connect([agent("agent-1", labels=labels)], [scaler(labels=labels)])
    page = visit(f"{org.path}/diagnostics", viewport={"width": 1100, "height": 800})
    rest = page.locator(".row .label.more")
    expect(rest).to_have_text(["+7", "+5"])
    of_scaler, of_agent = (each.evaluate("pill => pill.clientWidth") for each in rest.all())
    assert of_scaler == pytest.approx(of_agent, abs=1)


def test_a_heartbeat_moves_without_a_reload(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    page = visit(f"{org.path}/diagnostics")
    first = page.locator(".row.agent").first
    expect(first).to_contain_text("250 MB")
    page.evaluate("window.unchanged = true")
    orchestrator.beat(8192)
    expect(first).to_contain_text("2.0 GB")
    expect(page.locator(".row.orchestrator")).to_contain_text("8.0 / 16.0 GB")
    assert page.evaluate("window.unchanged")


def test_what_comes_and_goes_is_seen(visit: Visit, org: Org) -> None:
    page = visit(f"{org.path}/diagnostics")
    expect(page.get_by_text("No orchestrator has ever connected")).to_be_visible()
    orchestrator = org.orchestrator()
    orchestrator.connect()
    expect(page.locator(".row.agent")).to_have_count(2)
    orchestrator.connect(agents=[agent("agent-2")], scalers=[scaler(), scaler("second", type="KUBERNETES")])
    expect(page.locator(".row.agent")).to_have_count(1)
    expect(page.locator(".row.scaler")).to_have_count(2)
    orchestrator.disconnect()
    expect(page.locator(".row.orchestrator")).to_contain_text("Disconnected")


def test_acknowledging_is_seen_in_two_browsers(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    orchestrator.alert("disk", "Disk of build-1 is full", "CRITICAL")
    one, two = visit(f"{org.path}/diagnostics"), visit(f"{org.path}/diagnostics")
    one.get_by_role("button", name="Acknowledge").click()
    one.get_by_label("Note for your colleagues").fill("I am on it")
    one.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    for page in (one, two):
        expect(page.locator(".alert")).to_contain_text("taken on by")
        expect(page.locator(".alert")).to_contain_text("I am on it")
        expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    orchestrator.alert("disk", "Disk of build-1 is full", "CRITICAL", resolved=True)
    expect(two.get_by_text("No open alerts")).to_be_visible()


def test_everything_in_the_tree_works_by_keyboard(visit: Visit, org: Org) -> None:
    org.orchestrator().connect()
    page = visit(f"{org.path}/diagnostics")
    expect(page.locator(".row.agent")).to_have_count(2)
    page.keyboard.press("/")
    expect(page.get_by_label("Filter the tree")).to_be_focused()
    page.get_by_label("Filter the tree").press("Escape")
    page.locator(".row.orchestrator").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".row.scaler")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".row.agent")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    expect(page.locator(".row.agent", has_text="agent-2")).to_be_focused()
    page.keyboard.press("Enter")
    details = page.get_by_role("dialog", name="Details of agent-2")
    expect(details).to_contain_text("heartbeat received")
    page.keyboard.press("Escape")
    expect(details).to_have_count(0)
    expect(page.locator(".row.agent", has_text="agent-2")).to_be_focused()
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="Orchestrators")).to_be_focused()
    page.get_by_role("link", name="north").press("Enter")
    expect(page.get_by_role("heading", name="north")).to_be_visible()


def test_a_filter_narrows_the_tree_and_stays_in_the_address(visit: Visit, org: Org) -> None:
    org.orchestrator().connect()
    page = visit(f"{org.path}/diagnostics")
    expect(page.locator(".row.agent")).to_have_count(2)
    page.get_by_label("Filter the tree").fill("agent-2")
    expect(page.locator(".row.agent")).to_have_count(1)
    page.reload()
    expect(page.locator(".row.agent")).to_have_count(1)
    page.get_by_label("Filter the tree").fill("nobody")
    expect(page.get_by_text("Nothing fits the filter")).to_be_visible()
