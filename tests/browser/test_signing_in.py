"""Who may see the page, and what happens when they no longer may."""

from playwright.sync_api import expect

from tests.browser.conftest import Org, Visit


def test_a_wrong_token_is_told_and_a_right_one_opens_the_page(visit: Visit, org: Org) -> None:
    page = visit("/", token=None)
    page.get_by_label("Token").fill("kgq_not-a-token-at-all-0000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.get_by_label("Token").fill(org.admin_token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Workflows")).to_be_visible()
    expect(page).to_have_url(f"{org.server.url}{org.path}/workflows")


def test_the_address_that_was_wanted_is_shown_after_signing_in(visit: Visit, org: Org) -> None:
    page = visit(f"{org.path}/orchestrators", token=None)
    page.get_by_label("Token").fill(org.admin_token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Orchestrators")).to_be_visible()


def test_signing_out_ends_the_session(visit: Visit, org: Org) -> None:
    page = visit(f"{org.path}/diagnostics")
    page.get_by_role("button", name="Account").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{org.path}/diagnostics")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_revoking_the_token_ends_the_page_and_says_why(visit: Visit, org: Org) -> None:
    id_, secret = org.create_token("VIEWER")
    page = visit(f"{org.path}/diagnostics", token=secret)
    expect(page.get_by_role("button", name="Connection: Live")).to_be_visible()
    org.execute("mutation ($id: ID!) { tokenRevoke(input: {tokenId: $id}) { __typename } }", id=id_)
    expect(page.get_by_text("The token of this session was revoked.")).to_be_visible()


def test_another_orgs_address_says_so(visit: Visit) -> None:
    page = visit("/orgs/default/diagnostics")
    expect(page.get_by_role("heading", name="This token sees another org")).to_be_visible()


def test_a_browser_is_in_several_orgs_and_shows_one(visit: Visit, org: Org) -> None:
    created = org.server.execute(
        """mutation ($input: OrgCreateInput!) { orgCreate(input: $input) {
        ... on OrgCreateSuccess { secret } } }""",
        input={"slug": f"{org.slug}-two", "name": "Second"},
    )["orgCreate"]
    page = visit("/", token=None)
    page.get_by_label("Token").fill(org.admin_token)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Org: Acme").click()
    page.get_by_role("menuitem", name="Another org…").click()
    page.get_by_label("A token of that org").fill("kgq_nobody-has-this-one-00")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("not valid")
    page.get_by_label("A token of that org").fill(created["secret"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Org: Second")).to_be_visible()
    other_tab = page.context.new_page()
    other_tab.goto(f"{org.path}-two/runs")
    expect(other_tab.get_by_role("heading", name="Runs")).to_be_visible()
    page.get_by_role("button", name="Org: Second").click()
    page.get_by_role("menuitemradio", name=org.slug, exact=True).click()
    expect(page.get_by_role("button", name="Org: Acme")).to_be_visible()
    expect(other_tab.get_by_role("heading", name="This browser went to another org")).to_be_visible()
    other_tab.goto(f"{org.path}-two/runs")
    other_tab.get_by_role("button", name="Switch to it").click()
    expect(other_tab.get_by_role("button", name="Org: Second")).to_be_visible()
    page.get_by_role("button", name="Go there, too").or_(
        page.get_by_role("link", name="Go there, too")
    ).click()
    expect(page.get_by_role("button", name="Org: Second")).to_be_visible()


def test_a_viewer_sees_why_it_may_not_act(visit: Visit, org: Org) -> None:
    orchestrator = org.orchestrator()
    orchestrator.connect()
    orchestrator.alert("disk", "Disk is full")
    page = visit(f"{org.path}/diagnostics", token=org.token("VIEWER"))
    expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
    page.locator(".alert .wrap-disabled").hover()
    expect(page.locator(".tooltip")).to_contain_text("OPERATOR")
