"""What the page says of its own connection, and that nothing is missing after one was lost."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Org, Visit, org_of_its_own_server


@pytest.fixture
def own_org(tmp_path: Path) -> Iterator[Org]:
    """The default org of a server that the test may end."""
    with org_of_its_own_server(tmp_path) as org:
        yield org


def shown_age(page: Page) -> str:
    return page.locator(".row.agent .beat").first.inner_text()


def once_older_than(page: Page, seconds: int) -> int:
    """Wait until what the page shows is older than this; answers how old it says it is."""
    told = "Number(/is (\\d+) s old/.exec(document.querySelector('.lost-banner').textContent)?.[1])"
    page.wait_for_function(f"least => {told} > least", arg=seconds)
    return int(page.evaluate(told))


@pytest.mark.timeout(180)  # two starts of a server, which a busy machine makes slow
def test_a_restart_in_the_middle(visit: Visit, own_org: Org) -> None:
    orchestrator = own_org.orchestrator()
    orchestrator.connect()
    page = visit(f"{own_org.path}/diagnostics", token=own_org.admin_token, url=own_org.server.url)
    live = page.get_by_role("button", name="Connection: Live")
    expect(live).to_be_visible()
    expect(page.locator(".row.agent")).to_have_count(2)
    page.evaluate("window.unchanged = true")

    own_org.server.kill()
    banner = page.locator(".lost-banner")
    expect(banner).to_contain_text("What you see is")
    expect(banner).to_contain_text("Trying again")
    expect(page.get_by_role("button", name=re.compile("Connection: Disconnected .* old"))).to_be_visible()
    since = once_older_than(page, 1)
    frozen = shown_age(page)
    once_older_than(page, since + 1)
    assert shown_age(page) == frozen  # no age goes on by itself once nobody can know it

    own_org.server.start()
    orchestrator.beat(8192)
    orchestrator.alert("disk", "Disk of build-1 is full")
    expect(live).to_be_visible()
    expect(banner).to_be_hidden()
    expect(page.locator(".alert")).to_contain_text("Disk of build-1 is full")
    expect(page.locator(".row.agent").first).to_contain_text("2.0 GB")
    assert page.evaluate("window.unchanged")


def test_a_cable_that_is_pulled_and_plugged_in_again(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    page = visit(f"{org.path}/diagnostics")
    live = page.get_by_role("button", name="Connection: Live")
    expect(live).to_be_visible()
    expect(page.locator(".row.agent")).to_have_count(2)

    page.context.set_offline(True)
    expect(page.locator(".lost-banner")).to_contain_text("Not connected: ")  # long before silence would tell
    orchestrator.alert("disk", "Disk of build-1 is full")
    orchestrator.beat(8192)

    page.context.set_offline(False)
    expect(live).to_be_visible()
    expect(page.locator(".alert")).to_contain_text("Disk of build-1 is full")
    expect(page.locator(".row.agent").first).to_contain_text("2.0 GB")


def test_without_websockets_the_page_is_fed_by_event_streams(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    page = visit("/sign-in")
    page.route_web_socket(re.compile("/graphql"), lambda socket: socket.close(code=1011, reason="blocked"))
    page.goto(f"{org.path}/diagnostics")
    expect(page.locator(".row.agent")).to_have_count(2)
    orchestrator.beat(8192)
    expect(page.locator(".row.agent").first).to_contain_text("2.0 GB")
    page.get_by_role("button", name="Connection: Live").click()
    expect(page.get_by_role("dialog", name="Connection")).to_contain_text("event stream")


def test_a_gap_in_the_stream_is_noticed_and_healed(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    page = visit("/sign-in")
    swallowed: list[str] = []

    def lossy(socket: Any) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str) -> None:
            if not swallowed and "AlertChanged" in message:
                swallowed.append(message)
            else:
                socket.send(message)

        server.on_message(pass_on)

    page.route_web_socket(re.compile("/graphql"), lossy)
    page.goto(f"{org.path}/diagnostics")
    expect(page.get_by_text("No open alerts")).to_be_visible()
    orchestrator.alert("disk", "Disk is full")
    while not swallowed:
        page.wait_for_timeout(20)
    orchestrator.alert("fan", "Fan is loud")
    expect(page.locator(".alert")).to_have_count(2)


def test_the_first_load_is_small(visit: Visit, org: Org) -> None:
    org.orchestrator().connect()
    page = visit(f"{org.path}/diagnostics")
    expect(page.locator(".row.agent")).to_have_count(2)
    entries = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
    sizes = page.evaluate(
        f"{entries}.filter(e => !e.name.endsWith('/graphql')).map(e => [e.name, e.decodedBodySize])"
    )
    assert 50_000 < sum(size for _, size in sizes) < 150_000, sizes
