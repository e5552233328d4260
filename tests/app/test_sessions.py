"""Signing a browser in: cookies that no script reads, one for each org, and one that says which is shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from kici_gql.app import create_app
from kici_gql.settings import Settings
from tests.world import secret_of

CSRF = {"x-kici-csrf": "1"}
ASK = {"query": "{ viewer { org { slug } } }"}


@pytest.fixture
async def browser(sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(sqlite_url) as client:
        yield client


@asynccontextmanager
async def browser_of(sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies, as browsers do."""
    app: Starlette = create_app(Settings(database_url=sqlite_url))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        yield client


async def enter(browser: httpx.AsyncClient, **sent: str) -> httpx.Response:
    return await browser.post("/session", json=sent, headers=CSRF)


async def shown(browser: httpx.AsyncClient) -> str:
    answer = (await browser.post("/graphql", json=ASK, headers=CSRF)).json()
    slug: str = answer["data"]["viewer"]["org"]["slug"]
    return slug


async def orgs(browser: httpx.AsyncClient) -> list[str]:
    found: list[str] = (await browser.get("/session")).json()["orgs"]
    return found


async def test_a_browser_is_in_several_orgs_and_shows_one(browser: httpx.AsyncClient) -> None:
    assert await orgs(browser) == []
    await enter(browser, token=secret_of("VIEWER", "default"))
    await enter(browser, token=secret_of("ADMIN", "other"))
    assert await shown(browser) == "other"
    assert await orgs(browser) == ["default", "other"]
    assert (await enter(browser, org="default")).json() == {"org": "default", "scope": "VIEWER"}
    assert await shown(browser) == "default"
    assert (await browser.delete("/session", headers=CSRF)).status_code == 204
    assert await orgs(browser) == []
    assert (await enter(browser, org="other")).status_code == 401
    assert (await browser.post("/graphql", json=ASK, headers=CSRF)).status_code == 401


async def test_no_script_reads_the_cookies_and_no_other_page_sends_them(browser: httpx.AsyncClient) -> None:
    response = await enter(browser, token=secret_of("VIEWER", "default"))
    session, org = response.headers.get_list("set-cookie")
    for cookie in (session, org):
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
    assert "Path=/session;" in org


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        (b'{"token": "kgq_nobody-has-this-one"}', CSRF, 401),
        (b'{"token": 7}', CSRF, 400),
        (b'{"org": ["default"]}', CSRF, 401),
        (b"[]", CSRF, 400),
        (b"not JSON", CSRF, 400),
        (b'{"token": "' + b"x" * 5000 + b'"}', CSRF, 400),
        (b'{"token": "kgq_nobody-has-this-one"}', {}, 403),
    ],
)
async def test_what_signs_nobody_in(
    browser: httpx.AsyncClient, sent: bytes, headers: dict[str, str], status: int
) -> None:
    response = await browser.post("/session", content=sent, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(("trusted", "secure"), [("127.0.0.1", True), ("10.0.0.1", False)])
async def test_a_trusted_proxy_says_whether_cookies_are_for_tls_only(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, trusted: str, secure: bool
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    async with browser_of(sqlite_url) as browser:
        browser.headers["x-forwarded-proto"] = "https"
        response = await enter(browser, token=secret_of("VIEWER", "default"))
        for cookie in response.headers.get_list("set-cookie"):
            assert ("secure" in cookie.lower().split("; ")) is secure
