"""Peers that do not read, and the end of the server."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import time
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from uvicorn.protocols.http.flow_control import FlowControl

from kici_gql.api.transport.sockets import ImpatientWebSocket, OneWriteCycle, _untaken, websocket_protocol
from tests.api.transport.conftest import Connect
from tests.api.transport.serving import Client, Server, freeze, until
from tests.promised import kept

Serve = Callable[..., Any]
TICKS = "subscription { ticks { cursor values padding } }"
IDLE_BYTES = 24_000
"""What Python may hold for one idle socket and its subscription, the test's own end included."""


@asynccontextmanager
async def frozen(server: Server, count: int = 1) -> AsyncIterator[list[socket.socket]]:
    sockets = [await freeze(server.port, TICKS) for _ in range(count)]
    await until(lambda: server.operations.groups.members >= count)
    try:
        yield sockets
    finally:
        for raw in sockets:
            raw.close()


async def choke(server: Server) -> None:
    """Push until the frozen peers' buffers are full."""
    for value in range(60):
        server.log.add(value)
        await asyncio.sleep(0.001)


async def test_a_subscription_that_nothing_happens_on_takes_little_memory(server: Server) -> None:
    async with frozen(server, 10):
        tracemalloc.start()
        try:
            async with frozen(server, 100):
                traced, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert traced < 100 * IDLE_BYTES


async def test_a_peer_that_stops_reading_is_cut_off_and_harms_nobody(serve: Serve, connect: Connect) -> None:
    async with serve(stalled_seconds=0.2) as server:
        server.log.padding = "x" * 200_000
        async with frozen(server):
            reader = await connect(server, max_size=None)
            await reader.subscribe(TICKS)
            await reader.hear()
            reading = asyncio.create_task(values_until(reader, -1))
            await choke(server)
            await until(lambda: server.endpoint.gate.connections == 1)
            assert server.operations.groups.members == 1
            server.log.add(-1)
            assert await reading == [*range(60), -1]


async def values_until(client: Client, last: int) -> list[int]:
    values: list[int] = []
    while last not in values:
        values += (await client.hear())["payload"]["data"]["ticks"]["values"]
    return values


async def test_a_peer_that_reads_slowly_stays(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bool] = []
    judge = ImpatientWebSocket._judge  # noqa: SLF001

    def after_a_bite(protocol: ImpatientWebSocket, waiting: int) -> None:
        while _untaken(protocol.transport) >= waiting:
            with contextlib.suppress(BlockingIOError):
                raw.recv(60_000)
        judge(protocol, waiting)
        judged.append(protocol.transport.is_closing())

    monkeypatch.setattr(ImpatientWebSocket, "_judge", after_a_bite)
    async with serve(stalled_seconds=0.02) as server:
        server.log.padding = "x" * 100_000
        async with frozen(server) as (raw,):
            await choke(server)
            await until(lambda: len(judged) == 10)
    assert not any(judged)


async def test_a_peer_that_is_slow_may_owe_its_pong(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not come as far as the ping yet."""
    asked: list[ImpatientWebSocket] = []
    keepalive_timeout = ImpatientWebSocket.keepalive_timeout

    def counted(protocol: ImpatientWebSocket) -> None:
        asked.append(protocol)
        keepalive_timeout(protocol)

    monkeypatch.setattr(ImpatientWebSocket, "keepalive_timeout", counted)
    async with serve(stalled_seconds=60, ping_seconds=0.05) as server:
        server.log.padding = "x" * 200_000
        async with frozen(server):
            await choke(server)
            asked.clear()
            await until(lambda: len(asked) > 3 or not server.endpoint.gate.connections)
            assert server.endpoint.gate.connections == 1


async def test_a_peer_that_has_read_everything_and_owes_its_pong_is_cut_off(serve: Serve) -> None:
    async with serve(ping_seconds=0.05) as server, frozen(server):
        await until(lambda: server.endpoint.gate.connections == 0)


async def test_an_event_stream_that_nobody_reads_is_cut_off(serve: Serve) -> None:
    async with serve(stalled_seconds=0.2) as server:
        server.log.padding = "x" * 200_000
        raw = socket.socket()
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", server.port))
        body = json.dumps({"query": TICKS}).encode()
        head = (
            "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer kgq_bob\r\nAccept: text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await loop.sock_sendall(raw, head.encode() + body)
        await until(lambda: server.endpoint.gate.connections == 1)
        await choke(server)
        await until(lambda: server.endpoint.gate.connections == 0)
        assert server.operations.groups.members == 0
        raw.close()


async def test_a_stream_ends_with_its_peer_though_another_request_waits_behind_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"query": TICKS}).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer kgq_bob\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write((head.encode() + body) * 3)
    await until(lambda: server.operations.groups.members == 1)
    writer.transport.abort()
    async with asyncio.timeout(60):
        while server.operations.groups.members:
            server.log.add(1)  # only a write tells: nothing is read while a request waits
            await asyncio.sleep(0.02)
        await until(lambda: server.endpoint.gate.connections == 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_frozen_peer_whose_token_ends_is_cut_off_within_a_second(serve: Serve) -> None:
    async def attempt() -> float:
        async with serve() as server:
            server.log.padding = "x" * 200_000
            async with frozen(server):
                await choke(server)
                server.doorman.end("bob", "revoked")
                began = time.monotonic()
                assert server.operations.groups.members <= 1
                await until(lambda: server.endpoint.gate.connections == 0)
                return time.monotonic() - began

    assert await kept(1.5, attempt)


async def test_shutdown_says_goodbye_to_the_living_and_does_not_wait_for_the_frozen(
    serve: Serve, connect: Connect
) -> None:
    async with serve(drain_seconds=0.5) as server:
        clients = [await connect(server, max_size=None) for _ in range(20)]
        for client in clients:
            await client.subscribe(TICKS)
            await client.hear()
        async with frozen(server, 5), httpx.AsyncClient(trust_env=False) as http:
            headers = {"authorization": "Bearer kgq_alice", "accept": "text/event-stream"}
            async with http.stream("POST", server.http, json={"query": TICKS}, headers=headers) as events:
                lines = events.aiter_lines()
                while not (await anext(lines)).startswith("data:"):
                    pass
                server.log.padding = "x" * 200_000
                reading = [asyncio.create_task(client.closed()) for client in clients]
                listening = [asyncio.create_task(_drain(client.socket)) for client in clients]
                await choke(server)
                began = time.monotonic()
                stopping = asyncio.create_task(server.stop())
                text = "\n".join([line async for line in lines])
                assert "server restarting, resume with your cursor" in text
                assert "event: complete" not in text
            assert {await closed for closed in reading} == {
                (1012, "server restarting, resume with your cursor")
            }
            await stopping
            assert time.monotonic() - began < 10, "a peer that reads nothing is given 20 s otherwise"
            await asyncio.gather(*listening)


async def _drain(stream: AsyncIterable[Any]) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in stream:
            pass


async def test_what_is_being_answered_is_answered_before_the_goodbye(
    server: Server, connect: Connect
) -> None:
    client = await connect(server)
    await client.subscribe("mutation { addSlowly(value: 1, seconds: 0.2) }")
    await client.subscribe("{ hello }")
    await client.hear()
    await client.hear()
    stopping = asyncio.create_task(server.stop())
    assert (await client.hear())["payload"] == {"data": {"addSlowly": 1}}
    assert (await client.hear())["type"] == "complete"
    assert (await client.closed())[0] == 1012
    await stopping


async def test_nobody_new_is_let_in_while_the_server_drains(server: Server) -> None:
    await server.endpoint.drain(0.1)
    async with httpx.AsyncClient(trust_env=False) as http:
        headers = {"authorization": "Bearer kgq_alice"}
        refused = await http.post(
            server.http, json={"query": TICKS}, headers={**headers, "accept": "text/event-stream"}
        )
        assert refused.status_code == 503
        answered = await http.post(server.http, json={"query": "{ hello }"}, headers=headers)
        assert answered.status_code == 200


async def test_sockets_are_refused_while_the_server_drains(server: Server, connect: Connect) -> None:
    await server.endpoint.drain(0.1)
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(server)
    assert caught.value.response.status_code == 503


_PROGRAM = """
import asyncio
from tests.api.transport.serving import serving

async def main():
    async with serving(drain_seconds=1) as server:
        server.log.padding = "x" * 100_000
        print(server.port, flush=True)
        with server.uvicorn.capture_signals():
            while not server.running.done():
                server.log.add(len(server.log.values))
                await asyncio.sleep(0.02)

asyncio.run(main())
"""


async def test_sigterm_ends_the_process_within_its_time_though_peers_are_frozen() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, cwd=Path(__file__).parents[3], stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    sockets = [await freeze(port, TICKS) for _ in range(20)]
    url = f"ws://127.0.0.1:{port}/graphql"
    subprotocol = websockets.Subprotocol("graphql-transport-ws")
    async with websockets.connect(url, subprotocols=[subprotocol], proxy=None, max_size=None) as connection:
        client = Client(connection)
        await client.init()
        await client.subscribe(TICKS)
        await values_until(client, 40)
        began = time.monotonic()
        process.terminate()
        await _drain(connection)
        assert (connection.close_code, connection.close_reason) == (
            1012,
            "server restarting, resume with your cursor",
        )
        assert await process.wait() == -signal.SIGTERM
        assert time.monotonic() - began < 10, "as above"
    for raw in sockets:
        raw.close()


@pytest.mark.parametrize("type_", ["websocket.send", "websocket.close"])
async def test_what_comes_after_the_protocol_closed_meets_a_client_that_is_gone(type_: Any) -> None:
    """It closes by itself when the peer breaks the rules; the application may have been in the middle of an answer."""
    protocol: Any = object.__new__(websocket_protocol(1.0))
    protocol.close_sent = True
    with pytest.raises(OSError):
        await protocol.send({"type": type_, "text": ""})


class Recorder:
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def cycle_on(transport: Recorder, *, keep_alive: bool = True) -> OneWriteCycle:
    log: Any = logging.getLogger("test")
    return OneWriteCycle(
        scope={"method": "POST"},  # type: ignore[typeddict-item]
        transport=transport,  # type: ignore[arg-type]
        flow=FlowControl(transport),  # type: ignore[arg-type]
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: transport.told.append("closing" if transport.is_closing() else "open"),
    )


START: Any = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
STREAM: Any = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes, *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.mark.parametrize(
    ("keep_alive", "told"),
    [
        (True, ["open", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]),
        # Whoever waits behind this request must see that the connection ends with it.
        (
            False,
            [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}", "close", "closing"],
        ),
    ],
)
async def test_an_answer_is_one_write(keep_alive: bool, told: list[bytes | str]) -> None:
    transport = Recorder()
    cycle = cycle_on(transport, keep_alive=keep_alive)
    await cycle.send(START)
    await cycle.send(body(b"{}"))
    assert transport.told == told


async def test_a_stream_is_a_write_for_each_part() -> None:
    transport = Recorder()
    cycle = cycle_on(transport)
    await cycle.send(STREAM)
    for number in range(3):
        await cycle.send(body(b"%d" % number, more=number < 2))
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert transport.told == [head + b"1\r\n0\r\n", b"1\r\n1\r\n", b"1\r\n2\r\n0\r\n\r\n", "open"]


async def test_an_application_that_fails_before_its_body_is_a_500() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise RuntimeError("on purpose")

    transport = Recorder()
    await cycle_on(transport).run_asgi(failing)
    assert str(transport.told[0]).startswith("b'HTTP/1.1 500 ")
    assert transport.told[1:] == ["close", "closing"]
