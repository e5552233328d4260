"""What the transports are made of, each part alone."""

import asyncio

import pytest
from starlette.datastructures import Headers

from kici_gql.api.transport import credentials
from kici_gql.api.transport.negotiation import Accept, media_type
from kici_gql.api.transport.quotas import Quota
from kici_gql.api.transport.waiting import Flag, Inbox
from kici_gql.errors import LimitExceeded

NEW, OLD = "application/graphql-response+json", "application/json"


@pytest.mark.parametrize(
    ("header", "json", "events"),
    [
        (None, OLD, False),
        ("", OLD, False),
        ("*/*", OLD, False),
        ("application/*", OLD, False),
        (OLD, OLD, False),
        (NEW, NEW, False),
        (f"{NEW}, {OLD}", NEW, False),
        (f"{OLD}, {NEW}", NEW, False),
        (f"{OLD}; q=0.9, {NEW}; q=0.1", OLD, False),
        (f"{NEW};q=0, */*", OLD, False),
        (f"{NEW}; charset=utf-8, {OLD}; charset=utf-8", NEW, False),
        ("text/event-stream", None, True),
        (f"text/event-stream, {NEW}", NEW, True),
        ("text/event-stream;q=0, */*", OLD, False),
        ("text/html", None, False),
        ("text/*", None, False),
        (f"{OLD};q=nonsense", OLD, False),
        (", ,", None, False),
    ],
)
def test_the_accept_header_chooses(header: str | None, json: str | None, events: bool) -> None:
    accept = Accept(header)
    assert (accept.json, accept.events) == (json, events)


def test_content_types_are_taken_apart() -> None:
    assert media_type('Application/JSON; Charset="UTF-8"') == (OLD, {"charset": "UTF-8"})
    assert media_type(None) == ("", {})


@pytest.mark.parametrize(
    ("headers", "secret", "by_cookie"),
    [
        ({}, None, False),
        ({"authorization": "Bearer kgq_a"}, "kgq_a", False),
        ({"authorization": "bearer  kgq_a "}, "kgq_a", False),
        ({"authorization": "Basic abc"}, "Basic abc", False),
        ({"cookie": "x=1; kici_session=kgq_c"}, "kgq_c", True),
        ({"cookie": "x=1"}, None, False),
        ({"cookie": "\x00=;;"}, None, False),
        ({"authorization": "Bearer kgq_a", "cookie": "kici_session=kgq_c"}, "kgq_a", False),
    ],
)
def test_tokens_are_found_in_headers(headers: dict[str, str], secret: str | None, by_cookie: bool) -> None:
    assert credentials.from_headers(Headers(headers), "kici_session") == (secret, by_cookie)


@pytest.mark.parametrize(
    ("payload", "secret"),
    [
        ({}, None),
        ({"Authorization": "Bearer kgq_a"}, "kgq_a"),
        ({"authorization": "kgq_a"}, "kgq_a"),
        ({"token": "kgq_a"}, "kgq_a"),
        ({"authorization": 7, "token": None}, None),
    ],
)
def test_tokens_are_found_in_connection_init(payload: dict[str, object], secret: str | None) -> None:
    assert credentials.from_init(payload) == secret


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "ci.example", True),
        ("https://ci.example", "ci.example", True),
        ("http://ci.example", "ci.example", True),
        ("https://ci.example:443", "ci.example", True),
        ("https://CI.example", "ci.example", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", False),
        ("https://ci.example:8443", "ci.example", False),
        ("https://evil.example", "ci.example", False),
        ("https://ci.example.evil.example", "ci.example", False),
        ("null", "ci.example", False),
        ("", "", False),
        ("http://[", "ci.example", False),
        ("http://x:99999", "x:99999", False),
        ("https://dash.example", "ci.example", True),
    ],
)
def test_pages_of_other_origins_are_refused(origin: str | None, host: str, allowed: bool) -> None:
    headers = Headers({"host": host} | ({"origin": origin} if origin is not None else {}))
    assert credentials.origin_allowed(headers, ["https://dash.example"]) is allowed


def test_a_quota_counts_each_key_and_names_itself() -> None:
    quota = Quota("max_things", 2, "things")
    first, _ = quota.take("a"), quota.take("a")
    quota.take("b")
    with pytest.raises(LimitExceeded, match="max_things=2") as caught:
        quota.take("a")
    assert caught.value.retryable
    first()
    first()
    assert quota.held("a") == 1
    quota.take("a")
    assert quota.held("a") == 2


async def test_a_flag_lets_everybody_go_on_who_waits_for_it() -> None:
    flag = Flag()
    assert not flag.is_set()
    waiting = [asyncio.create_task(flag.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert waiting[0].cancelled()
    flag.set()
    flag.clear()
    assert await asyncio.gather(*waiting[1:]) == [True, True]
    assert not flag.is_set()
    flag.set()
    flag.set()
    assert flag.is_set()
    assert await flag.wait()


async def test_an_inbox_gives_out_in_order_what_came_before_and_while_its_reader_waits() -> None:
    inbox: Inbox[int] = Inbox()
    assert inbox.empty()
    for message in range(3):
        inbox.put_nowait(message)
    assert not inbox.empty()
    assert [await inbox.get() for _ in range(3)] == [0, 1, 2]
    assert inbox.empty()
    reading = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(3)
    inbox.put_nowait(4)
    assert await reading == 3
    assert await inbox.get() == 4


async def test_an_inbox_keeps_what_a_reader_that_gave_up_did_not_take() -> None:
    inbox: Inbox[int] = Inbox()
    reading = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(1)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert await inbox.get() == 1
