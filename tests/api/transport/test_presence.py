"""Who follows a stream that tells of its readers is there until its connection ends, however that is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from kici_gql.api.engine.live import LEFT, LEFT_BY
from tests.api.transport.conftest import Connect
from tests.api.transport.serving import Client, Server, freeze, until

Serve = Callable[..., Any]
ATTEND = """subscription ($subject: String! = "s", $name: String! = "n") {
    attended(subject: $subject, name: $name) { values padding } }"""


async def attend(client: Client, name: str = "n", subject: str = "s") -> str:
    """Follow the stream until it has begun."""
    id_ = await client.subscribe(ATTEND, name=name, subject=subject)
    assert (await client.hear())["type"] == "next"
    return id_


@pytest.fixture
async def reader(server: Server) -> AsyncIterator[httpx.Response]:
    """An event stream that has begun."""
    headers = {"authorization": "Bearer kgq_alice", "accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, verify=False, timeout=10) as http,
        http.stream("POST", server.http, json={"query": ATTEND}) as response,
    ):
        await until(lambda: len(server.log.presences) == 2)
        yield response


@pytest.mark.parametrize("how", ["closes", "vanishes"])
async def test_a_socket_that_ends(server: Server, connect: Connect, how: str) -> None:
    client = await connect(server)
    await attend(client)
    if how == "closes":
        await client.socket.close()
    else:
        client.socket.transport.abort()
    await until(lambda: len(server.log.presences) == 3)
    assert server.log.presences == [("n", "begins"), ("n", "told"), ("n", LEFT)]


async def test_a_stream_that_is_completed_says_nothing(server: Server, connect: Connect) -> None:
    """Its reader has spoken, so it lives; only the end of its socket says that it is gone."""
    client = await connect(server)
    await client.say(type="complete", id=await attend(client))
    again = await attend(client)
    await client.subscribe(ATTEND.replace("values", "broken"))
    await client.say(type="complete", id=again)
    await client.subscribe("{ hello }")
    while (await client.hear())["type"] != "complete":
        pass
    assert [what for _, what in server.log.presences if what != "told"] == ["begins"]
    await client.socket.close()
    await until(lambda: server.log.presences[-1] == ("n", LEFT))


async def test_the_last_presence_of_a_subject_counts(server: Server, connect: Connect) -> None:
    client = await connect(server)
    for name, subject in (("a", "s"), ("b", "s"), ("c", "t")):
        await attend(client, name, subject)
    await client.socket.close()
    await until(lambda: ("c", LEFT) in server.log.presences)
    ends = [each for each in server.log.presences if each[1] not in {"begins", "told"}]
    assert ends == [("a", None), ("b", LEFT), ("c", LEFT)]


@pytest.mark.parametrize("reason", ["revoked", "expired"])
async def test_a_token_that_ends(
    server: Server, connect: Connect, reader: httpx.Response, reason: str
) -> None:
    client = await connect(server)
    await attend(client, "socket")
    server.doorman.end("alice", reason)
    await client.closed()
    await reader.aread()
    await until(lambda: len(server.log.presences) == 6)
    assert set(server.log.presences[4:]) == {("socket", LEFT_BY[reason]), ("n", LEFT_BY[reason])}


async def test_an_event_stream_that_is_left(server: Server, reader: httpx.Response) -> None:
    await reader.aclose()
    await until(lambda: len(server.log.presences) == 3)
    assert server.log.presences == [("n", "begins"), ("n", "told"), ("n", LEFT)]


async def test_an_event_stream_that_we_ended_says_nothing(server: Server, reader: httpx.Response) -> None:
    server.log.add(-13)  # the view can't go on
    text = (await reader.aread()).decode()
    assert "event: complete" in text
    assert "INTERNAL" in text
    await until(lambda: len(server.log.presences) == 3)
    assert server.log.presences[-1] == ("n", None)


async def test_a_peer_that_stops_reading_is_gone(serve: Serve) -> None:
    async with serve(stalled_seconds=0.2) as server:
        server.log.padding = "x" * 200_000
        raw = await freeze(server.port, ATTEND)
        await until(lambda: len(server.log.presences) == 2)
        for value in range(60):
            server.log.add(value)
            await asyncio.sleep(0.001)
        await until(lambda: len(server.log.presences) == 3)
        assert server.log.presences[-1] == ("n", LEFT)
        raw.close()


async def test_others_tell_nothing_of_themselves(server: Server, connect: Connect) -> None:
    client = await connect(server)
    await client.subscribe("subscription { ticks { kind } }")
    await client.hear()
    await client.socket.close()
    await until(lambda: server.operations.groups.members == 0)
    assert server.log.presences == []
