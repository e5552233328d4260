"""What the page says came of a click: it follows the command over the stream, whatever happens to the connection."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Org, Visit, org_of_its_own_server
from tests.browser.fake_orchestrator import FakeOrchestrator, workflow

REFUSAL = "the registry is read-only"
ANOTHER_LOGS_CURSOR = "MWZiZWVlOGQ6MzM"
ENDED = """query ($org: String!) { org(slug: $org) {
    commands(where: {state: [SUCCEEDED, FAILED]}) { totalCount } } }"""


@pytest.fixture
def orchestrator(org: Org) -> FakeOrchestrator:
    """One that will refuse, as soon as it obeys."""
    made = org.orchestrator()
    made.connect()
    made.report_workflows(workflow("build"))
    made.refusal = REFUSAL
    return made


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Org]:
    """The default org of a server that waits a second for an orchestrator's answer."""
    with org_of_its_own_server(tmp_path, command_seconds="1") as org:
        yield org


def until_ended(page: Page, org: Org) -> None:
    while not org.execute(ENDED, org=org.slug)["org"]["commands"]["totalCount"]:
        page.wait_for_timeout(20)


def switch(page: Page) -> None:
    page.get_by_role("switch", name="build enabled").click()


def holding_the_answer(page: Page, org: Org) -> Callable[[Route], None]:
    """Let the answer to a mutation come when its command has ended, as it was when the command had not."""

    def hold(route: Route) -> None:
        answer = route.fetch()
        if "mutation" in (route.request.post_data or ""):
            until_ended(page, org)
        body = answer.text().replace('"state":"FAILED"', '"state":"PENDING"')
        route.fulfill(response=answer, body=body)

    return hold


def test_nothing_is_asked_after_the_click(visit: Visit, org: Org, orchestrator: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/workflows")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    switch(page)
    expect(page.locator("[aria-busy=true]")).to_have_count(1)
    orchestrator.obey()
    expect(page.get_by_text(REFUSAL)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert len([each for each in asked if "mutation" in each]) == 1
    assert [each for each in asked if "node(" in each] == []


def test_a_command_that_ends_before_the_mutation_is_answered(
    visit: Visit, org: Org, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.obey()
    page = visit(f"{org.path}/workflows")
    page.route("**/graphql", holding_the_answer(page, org))
    switch(page)
    expect(page.get_by_text(REFUSAL)).to_be_visible()


def test_a_command_that_ends_while_the_page_is_cut_off(
    visit: Visit, org: Org, orchestrator: FakeOrchestrator
) -> None:
    page = visit(f"{org.path}/workflows")
    switch(page)
    expect(page.locator("[aria-busy=true]")).to_have_count(1)
    page.context.set_offline(True)
    expect(page.locator(".lost-banner")).to_contain_text("Not connected: ")
    orchestrator.obey()
    until_ended(page, org)
    page.context.set_offline(False)
    expect(page.get_by_text(REFUSAL)).to_be_visible()


@pytest.mark.timeout(180)  # a start of a server, which a busy machine makes slow
def test_a_command_that_nobody_answers(visit: Visit, impatient: Org) -> None:
    orchestrator = impatient.orchestrator()
    orchestrator.connect()
    orchestrator.report_workflows(workflow("build"))
    page = visit(f"{impatient.path}/workflows", token=impatient.admin_token, url=impatient.server.url)
    switch(page)
    expect(page.get_by_text("was not answered in time")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize(
    ("found", "said"), [(True, REFUSAL), (False, "what came of it is not known")], ids=["found", "lost"]
)
def test_a_log_that_cannot_be_followed_any_more(
    visit: Visit, org: Org, orchestrator: FakeOrchestrator, found: bool, said: str
) -> None:
    """The stream starts over with the newest commands, of which it may be one."""
    orchestrator.obey()
    page = visit("/sign-in")

    def astray(socket: Any) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str) -> None:
            if "subscription Command" in message:
                message = re.sub(r'"after":"[^"]*"', f'"after":"{ANOTHER_LOGS_CURSOR}"', message)
                message = message if found else message.replace("FAILED, ", "")
            server.send(message)

        socket.on_message(pass_on)

    page.route_web_socket(re.compile("/graphql"), astray)
    page.goto(f"{org.path}/workflows")
    expect(page.get_by_role("switch", name="build enabled")).to_be_enabled()
    page.route("**/graphql", holding_the_answer(page, org))
    switch(page)
    expect(page.get_by_text(said)).to_be_visible()
