from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import websockets

from tests.api.transport.serving import Client, Server, serving

Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


@pytest.fixture
def serve() -> Callable[..., Any]:
    """For tests whose server needs limits of its own."""
    return serving


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a socket to a server; `init=False` leaves connection_init to the test."""
    sockets: list[websockets.ClientConnection] = []

    async def connecting(
        server: Server, *, init: bool = True, token: str = "kgq_alice", **arguments: Any
    ) -> Client:
        arguments.setdefault("subprotocols", ["graphql-transport-ws"])
        socket = await websockets.connect(server.ws, compression=None, proxy=None, **arguments)
        sockets.append(socket)
        client = Client(socket)
        if init:
            await client.init(token)
        return client

    yield connecting
    for socket in sockets:
        await socket.close()
