"""A real uvicorn around the toys, and a client that speaks graphql-transport-ws by hand."""

import asyncio
import base64
import itertools
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.operations import Operations
from kici_gql.api.transport.endpoint import GraphQLEndpoint
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.sockets import DrainingServer, http_protocol, websocket_protocol
from tests.api.engine.toys import Context, Doorman, Log, schema


@dataclass
class Server:
    """A running server and what is inside it."""

    port: int
    log: Log
    doorman: Doorman
    operations: Operations
    endpoint: GraphQLEndpoint
    uvicorn: DrainingServer
    running: asyncio.Task[None]

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    async def stop(self) -> None:
        self.uvicorn.should_exit = True
        await self.running


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that only the server's own insides can tell."""
    while not condition():  # noqa: ASYNC110 - there is nothing to wait on
        await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(
    options: TransportOptions | None = None,
    limits: Limits | None = None,
    *,
    stalled_seconds: float = 20.0,
    drain_seconds: float = 2.0,
    ping_seconds: float = 20.0,
    deflates: bool = False,
) -> AsyncIterator[Server]:
    log, doorman = Log(), Doorman()
    operations = Operations(
        schema, lambda viewer, request_id: Context(viewer, request_id, log), limits=limits
    )
    endpoint = GraphQLEndpoint(operations, doorman, options)
    app = Starlette(routes=[Route("/graphql", endpoint), WebSocketRoute("/graphql", endpoint)])
    config = uvicorn.Config(
        app,
        port=0,
        lifespan="off",
        log_config=None,
        access_log=False,
        http=http_protocol(stalled_seconds),
        ws=websocket_protocol(stalled_seconds, 0.2, deflates=deflates),
        ws_per_message_deflate=False,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
        ws_max_size=1_000_000,
        timeout_graceful_shutdown=2,
    )
    server = DrainingServer(config, lambda: endpoint.drain(drain_seconds))
    running = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` would take pytest's signals
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(port, log, doorman, operations, endpoint, server, running)
    finally:
        server.should_exit = True
        await running


class Client:
    """graphql-transport-ws spoken by hand."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.ids = map(str, itertools.count(1))

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["type"] != "ping":
                return message

    async def init(self, token: str = "kgq_alice") -> None:
        await self.say(type="connection_init", payload={"Authorization": f"Bearer {token}"})
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, query: str, **variables: Any) -> str:
        id_ = next(self.ids)
        await self.say(type="subscribe", id=id_, payload={"query": query, "variables": variables})
        return id_

    async def closed(self) -> tuple[int | None, str | None]:
        await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


def _frame(**message: Any) -> bytes:
    """A masked text frame; the mask is zero, so it reads as it is."""
    body = json.dumps(message).encode()
    if len(body) < 126:
        return bytes([0x81, 0x80 | len(body)]) + bytes(4) + body
    return bytes([0x81, 0x80 | 126]) + len(body).to_bytes(2, "big") + bytes(4) + body


async def freeze(port: int, query: str, token: str = "kgq_bob") -> socket.socket:
    """A raw socket that subscribes and never reads a byte of what it gets."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await loop.sock_connect(raw, ("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    await loop.sock_sendall(
        raw,
        b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
        + f"Sec-WebSocket-Key: {key}\r\n\r\n".encode(),
    )
    assert (await loop.sock_recv(raw, 4096)).startswith(b"HTTP/1.1 101 ")
    await loop.sock_sendall(raw, _frame(type="connection_init", payload={"token": token}))
    assert b"connection_ack" in await loop.sock_recv(raw, 4096)
    await loop.sock_sendall(raw, _frame(type="subscribe", id="1", payload={"query": query}))
    return raw
