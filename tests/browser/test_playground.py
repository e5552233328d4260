"""The playground: queries, subscriptions, the schema."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Org, Visit


def write(page: Page, document: str) -> None:
    page.get_by_label("GraphQL document").fill(document)


def test_a_query_with_variables(visit: Visit, org: Org) -> None:
    org.orchestrator().connect()
    page = visit("/playground")
    write(
        page, f'query One($name: String!) {{ org(slug: "{org.slug}") {{ cluster(name: $name) {{ name }} }} }}'
    )
    page.get_by_label("Variables").fill('{"name": ')
    expect(page.locator("#variables-problem")).not_to_be_empty()
    page.get_by_label("Variables").fill('{"name": "north"}')
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("region", name="Answer")).to_contain_text('"name": "north"')
    write(page, "{ nonsense }")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("Cannot query field")


def test_a_subscription_until_it_is_stopped(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    page = visit("/playground")
    for transport in ("WebSocket", "Event stream"):
        write(page, f'subscription {{ heartbeats(org: "{org.slug}") {{ kind at events {{ __typename }} }} }}')
        page.get_by_label("Transport of subscriptions").select_option(transport)
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".frame")).to_have_count(1)
        orchestrator.beat()
        expect(page.locator(".frame").nth(1)).to_contain_text("AgentHeartbeat")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#result-bar")).to_contain_text("Stopped")


# Requests wait until the test calls `release()`.
_HELD_FETCH = """const fetchNow = window.fetch;
window.fetch = (...given) => new Promise((release) => (window.release = release)).then(() => fetchNow(...given));"""


def test_the_example_is_about_the_viewers_org_but_never_changes_under_a_cursor(
    visit: Visit, org: Org
) -> None:
    page = visit("about:blank")
    page.add_init_script(_HELD_FETCH)
    page.goto("/playground")
    field = page.get_by_label("GraphQL document")
    page.evaluate("release()")
    expect(field).to_have_value(_having(org.slug))
    page.evaluate("localStorage.clear()")
    page.reload()
    field.select_text()
    page.evaluate("release()")
    expect(page.locator("#schema")).not_to_contain_text("Reading the schema")
    page.keyboard.insert_text("{ __typename }")
    expect(field).to_have_value("{ __typename }")


def test_walking_through_the_schema(visit: Visit, org: Org) -> None:
    page = visit("/playground")
    page.get_by_role("button", name="Subscription", exact=True).click()
    page.get_by_role("button", name="Use alerts in the editor").click()
    expect(page.get_by_label("GraphQL document")).to_have_value(_having("subscription Alerts"))
    page.get_by_label("Search the schema").fill("heartbeatAge")
    page.get_by_role("button", name="Agent.heartbeatAgeSeconds").click()
    expect(page.get_by_role("heading", name="Agent object")).to_be_visible()


def test_the_examples_are_right(visit: Visit, org: Org) -> None:
    page = visit("/playground")
    module = "import('/assets/playground/examples.js')"
    documents = page.evaluate(f"{module}.then((m) => m.EXAMPLES.map((e) => e.document('{org.slug}')))")
    for document in documents:
        write(page, document)
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#result pre, #result .frame").first).to_be_visible()
        if document.startswith("subscription"):
            page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("region", name="Answer")).not_to_contain_text("GRAPHQL_VALIDATION")
        assert '"errors"' not in page.locator("#result").inner_text()


def _having(text: str) -> "re.Pattern[str]":
    return re.compile(re.escape(text))
