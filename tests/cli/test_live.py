"""Several subscriptions over one socket, resumed by cursor."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from kici_gql.cli import live
from kici_gql.cli.live import Delivery, Dropped, follow, websocket_url
from kici_gql.errors import KiciError, Unauthenticated
from tests.examples.scripted_server import ScriptedServer

TWO = {
    name: f"subscription {name}($after: Cursor) {{ stream(after: $after) {{ cursor }} }}"
    for name in ("one", "two")
}
ONE = {"one": TWO["one"]}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_WAIT_SECONDS", 0.02)


def frame(cursor: str) -> dict[str, Any]:
    return {"cursor": cursor}


async def take(server: ScriptedServer, operations: dict[str, str], count: int) -> list[Delivery | Dropped]:
    taken: list[Delivery | Dropped] = []
    async with asyncio.timeout(60), aclosing(follow(server.url, "kgq_x", operations, {"org": "o"})) as items:
        async for item in items:
            taken.append(item)
            if len(taken) == count:
                break
    return taken


async def test_two_operations_share_a_socket_and_resume_each_behind_its_own_cursor(
    server: ScriptedServer,
) -> None:
    server.streams = [[frame("a")], [frame("x"), 1012], [frame("b")], [frame("y")]]
    items = await take(server, TWO, 5)
    assert [item.frame["cursor"] for item in items if isinstance(item, Delivery)] == ["a", "x", "b", "y"]
    assert isinstance(items[2], Dropped)
    assert [call["after"] for call in server.subscriptions] == [None, None, "a", "x"]
    assert server.init_payloads == [{"Authorization": "Bearer kgq_x"}] * 2


async def test_a_stream_that_the_server_ends_is_opened_again(server: ScriptedServer) -> None:
    server.streams = [[frame("a"), "complete"], [frame("b")]]
    items = await take(server, ONE, 3)
    assert isinstance(items[1], Dropped)
    assert "ended" in items[1].reason
    assert server.subscriptions[1]["after"] == "a"


async def test_a_silent_stream_is_given_up(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SILENCE_SECONDS", 0.1)
    server.streams = [[frame("a")], [frame("b")]]
    dropped = (await take(server, ONE, 3))[1]
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "no answer in time"


async def test_nobody_there_is_told_and_tried_again(server: ScriptedServer) -> None:
    await server.close()
    items = await take(server, ONE, 3)
    assert all(isinstance(item, Dropped) and item.reason for item in items)


@pytest.mark.parametrize("code", [4403, 4410, 4411])
async def test_a_refused_token_is_final(code: int, server: ScriptedServer) -> None:
    server.streams = [[frame("a"), code]]
    with pytest.raises(Unauthenticated, match="as told"):
        await take(server, ONE, 2)


async def test_a_token_refused_at_the_start_is_final(server: ScriptedServer) -> None:
    server.init_close_code = 4403
    with pytest.raises(Unauthenticated):
        await take(server, ONE, 1)


async def test_a_refused_operation_is_final(server: ScriptedServer) -> None:
    server.streams = [["error"]]
    with pytest.raises(KiciError, match="no such field"):
        await take(server, ONE, 1)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ValueError, match="no server address"):
        websocket_url(url)
