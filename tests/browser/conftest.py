"""A real server, a real Chromium, and an org of its own for each test."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.browser.fake_orchestrator import FakeOrchestrator
from tests.examples.live_server import LiveServer

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 60_000

# Nobody beats by himself here: a slow machine must not make agents late before a test looks at them.
CALM = {"heartbeat_interval_seconds": "30", "lost_after_seconds": "600"}

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def playwright_() -> Iterator[Playwright]:
    if not CHROMIUM.exists():
        pytest.skip("needs Chromium at /usr/bin/chromium")
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright_: Playwright) -> Iterator[Browser]:
    browser = playwright_.chromium.launch(
        executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-background-networking"]
    )
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("browser"), **CALM)
    server.start()
    yield server
    server.stop()


@dataclass
class Org:
    """An org of its own on the server, with its tokens and orchestrators."""

    server: LiveServer
    slug: str
    admin_token: str
    orchestrators: list[FakeOrchestrator] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/orgs/{self.slug}"

    def token(self, scope: str) -> str:
        """The secret of a new token."""
        return self.create_token(scope)[1]

    def create_token(self, scope: str) -> tuple[str, str]:
        """A new token: its id and its secret."""
        document = """mutation ($input: TokenCreateInput!) { tokenCreate(input: $input) {
            ... on TokenCreateSuccess { secret token { id } } } }"""
        given = {"name": f"{scope.lower()}-{secrets.token_hex(3)}", "scope": scope}
        created = self.execute(document, input=given)["tokenCreate"]
        return created["token"]["id"], created["secret"]

    def orchestrator(self, cluster: str = "north", instance: str = "orchestrator-1") -> FakeOrchestrator:
        """A new one, which is not connected yet."""
        made = FakeOrchestrator(self.server.url, self.token("ORCHESTRATOR"), cluster, instance)
        self.orchestrators.append(made)
        return made

    def execute(self, document: str, **variables: Any) -> dict[str, Any]:
        return self.server.execute(document, self.admin_token, **variables)

    def close(self) -> None:
        for orchestrator in self.orchestrators:
            orchestrator.close()


@contextmanager
def org_of_its_own_server(directory: Path, **settings: str) -> Iterator[Org]:
    """The default org of a server that a test may end, or wants with other settings."""
    server = LiveServer(directory, **CALM, **settings)
    server.start()
    org = Org(server, "default", server.admin)
    yield org
    org.close()
    server.stop()


@pytest.fixture
def org(shared_server: LiveServer) -> Iterator[Org]:
    slug = f"org-{secrets.token_hex(4)}"
    document = """mutation ($input: OrgCreateInput!) { orgCreate(input: $input) {
        ... on OrgCreateSuccess { secret } } }"""
    created = shared_server.execute(document, input={"slug": slug, "name": "Acme"})["orgCreate"]
    made = Org(shared_server, slug, created["secret"])
    yield made
    made.close()


class Watched:
    """A page whose every request and complaint is noted."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.reloads = -1
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._request(request.url, origin))
        page.on("websocket", lambda socket: self._request(socket.url.replace("ws:", "http:"), origin))
        page.on("load", lambda _: self._loaded())

    def _console(self, message: Any) -> None:
        # What the network failed at is what some tests are about; the rest is our fault.
        if message.type in {"error", "warning"} and not message.text.startswith(
            ("Failed to load resource", "WebSocket connection")
        ):
            self.complaints.append(message.text)

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.foreign.append(url)

    def _loaded(self) -> None:
        self.reloads += 1


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, org: Org) -> Iterator[Visit]:
    """`visit(path, token=…, **context)`: a new browser, signed in as an admin unless told otherwise.

    Afterwards no page may have asked another host for anything, broken its own policy, or logged an error.
    """
    contexts: list[BrowserContext] = []
    watched: list[Watched] = []

    def visit(path: str, token: str | None = "", url: str = org.server.url, **options: Any) -> Page:
        context = chromium.new_context(base_url=url, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if token is not None:
            secret = token or org.admin_token
            context.add_cookies([{"name": "kici_session", "value": secret, "url": url}])
        page = context.new_page()
        watched.append(Watched(page, url))
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [each.foreign for each in watched if each.foreign] == []
    assert [each.complaints for each in watched if each.complaints] == []
