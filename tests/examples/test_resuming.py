import asyncio
from typing import Any

import pytest

import resuming
from resuming import Frame, StreamRefused, frames
from tests.examples.conftest import Eventually
from tests.examples.scripted_server import ScriptedServer

DOCUMENT = "subscription($after: Cursor) { stream(after: $after) { cursor } }"


def frame(cursor: str) -> dict[str, Any]:
    return {"kind": "EVENTS", "cursor": cursor}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "FIRST_WAIT_SECONDS", 0.02)


async def take(server: ScriptedServer, count: int, drops: list[str] | None = None) -> list[Frame]:
    taken: list[Frame] = []
    async with asyncio.timeout(60):
        note = drops.append if drops is not None else print
        async for one in frames(server.url, "kgq_x", DOCUMENT, {"org": "default"}, on_drop=note):
            taken.append(one)
            if len(taken) == count:
                break
    return taken


@pytest.mark.parametrize("end", [1011, 1012, "complete"])
async def test_after_a_drop_it_goes_on_behind_the_last_frame(end: int | str, server: ScriptedServer) -> None:
    server.streams = [[frame("a"), frame("b"), end], [end], [frame("c")]]
    drops: list[str] = []
    assert [one["cursor"] for one in await take(server, 3, drops)] == ["a", "b", "c"]
    assert [call["after"] for call in server.subscriptions] == [None, "b", "b"]
    assert all(call["org"] == "default" for call in server.subscriptions)
    assert len(drops) == 2


async def test_the_token_is_sent_at_each_connection(server: ScriptedServer) -> None:
    server.streams = [[1011], [frame("a")]]
    await take(server, 1)
    assert server.init_payloads == [{"authorization": "Bearer kgq_x"}] * 2


async def test_a_server_that_is_away_is_waited_for(server: ScriptedServer, eventually: Eventually) -> None:
    server.streams = [[frame("a"), 1012], [frame("b")]]
    reading = asyncio.create_task(take(server, 2))
    await eventually(lambda: server.subscriptions)
    await server.close()
    await asyncio.sleep(0.2)
    await server.start()
    assert [one["cursor"] for one in await reading] == ["a", "b"]


async def test_a_silent_stream_is_given_up(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "SILENCE_SECONDS", 0.1)
    server.streams = [[frame("a")], [frame("b")]]
    drops: list[str] = []
    assert len(await take(server, 2, drops)) == 2
    assert drops == ["silent for 0.1 s"]


@pytest.mark.parametrize("code", [4403, 4410, 4411])
async def test_a_refused_token_is_final(code: int, server: ScriptedServer) -> None:
    server.streams = [[frame("a"), code]]
    with pytest.raises(StreamRefused, match="as told"):
        await take(server, 2)


async def test_a_wrong_operation_is_final(server: ScriptedServer) -> None:
    server.streams = [["error"]]
    with pytest.raises(StreamRefused, match="no such field"):
        await take(server, 1)


async def test_a_token_refused_at_the_start_is_final(server: ScriptedServer) -> None:
    server.init_close_code = 4403
    with pytest.raises(StreamRefused, match="Forbidden"):
        await take(server, 1)
