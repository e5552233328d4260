"""permessage-deflate, where it is turned on: what everybody gets is compressed once, and every client can read it."""

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from kici_gql.api.transport import frames
from tests.api.transport.conftest import Connect
from tests.api.transport.serving import Server, serving, until
from tests.api.transport.test_node_client import node

TICKS = "subscription { ticks { kind values padding } }"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(deflates=True) as running:
        running.log.padding = "x y z " * 5000
        frames.deflated_tail.cache_clear()
        yield running


def offering(**parameters: Any) -> dict[str, Any]:
    return {"extensions": [ClientPerMessageDeflateFactory(**parameters)]}


def answered(socket: websockets.ClientConnection) -> str | None:
    assert socket.response is not None
    return socket.response.headers.get("Sec-WebSocket-Extensions")


@given(st.text(max_size=300), st.binary(max_size=5000))
def test_a_stored_head_and_a_shared_tail_are_one_stream(head: str, payload: bytes) -> None:
    message = frames.stored(head.encode()) + frames.deflated_tail(payload) + b"\x00\x00\xff\xff"
    text = zlib.decompressobj(-frames.WINDOW_BITS).decompress(message)
    assert text == head.encode() + payload + b"}"


async def test_a_page_is_compressed_once_for_all_its_readers(server: Server, connect: Connect) -> None:
    clients = [await connect(server, **offering()) for _ in range(10)]
    for number, client in enumerate(clients):
        await client.say(id=f"{number}" * 20, type="subscribe", payload={"query": TICKS})
        assert (await client.hear())["payload"]["data"]["ticks"]["kind"] == "SNAPSHOT"
    await until(lambda: server.operations.groups.counts.pages_delivered == 10)
    compressed = frames.deflated_tail.cache_info().misses
    for value in range(3):
        server.log.add(value)
        for number, client in enumerate(clients):
            message = await client.hear()
            assert message["id"] == f"{number}" * 20
            assert message["payload"]["data"]["ticks"]["values"] == [value]
            assert message["payload"]["data"]["ticks"]["padding"] == server.log.padding
    assert frames.deflated_tail.cache_info().misses == compressed + 3


async def test_what_is_for_one_alone_comes_between(server: Server, connect: Connect) -> None:
    client = await connect(server, **offering())
    ticks = await client.subscribe(TICKS)
    await client.hear()
    for value in range(3):
        hello = await client.subscribe("{ hello }")
        assert (await client.hear())["payload"] == {"data": {"hello": "hello world"}}
        assert await client.hear() == {"id": hello, "type": "complete"}
        server.log.add(value)
        assert (await client.hear())["id"] == ticks


async def test_it_is_agreed_without_context_takeover(server: Server, connect: Connect) -> None:
    client = await connect(server, **offering(client_max_window_bits=True))
    extensions = answered(client.socket)
    assert extensions is not None
    assert {"permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"} <= set(
        extensions.replace(" ", "").split(";")
    )


async def test_fewer_bytes_cross_the_wire(server: Server, connect: Connect) -> None:
    plain, small = await connect(server), await connect(server, **offering())
    sizes = []
    for client in (plain, small):
        read = 0

        def received(data: bytes, into: Any = client.socket.data_received) -> None:
            nonlocal read
            read += len(data)
            into(data)

        client.socket.data_received = received  # type: ignore[method-assign]
        await client.subscribe(TICKS)
        await client.hear()
        sizes.append(read)
    assert sizes[0] > 30_000
    assert sizes[1] < sizes[0] / 20


async def test_a_client_with_a_smaller_window_gets_its_pages_plain(server: Server, connect: Connect) -> None:
    client = await connect(server, **offering(server_max_window_bits=9))
    assert "server_max_window_bits=9" in (answered(client.socket) or "")
    await client.subscribe(TICKS)
    assert (await client.hear())["payload"]["data"]["ticks"]["padding"] == server.log.padding
    server.log.add(1)
    assert (await client.hear())["payload"]["data"]["ticks"]["values"] == [1]
    assert frames.deflated_tail.cache_info().misses == 0


async def test_nobody_is_compressed_who_did_not_ask_or_where_it_is_off(
    server: Server, connect: Connect
) -> None:
    assert answered((await connect(server)).socket) is None
    async with serving() as off:
        assert answered((await connect(off, **offering())).socket) is None


_FOLLOW = """
import { createClient } from "graphql-ws";
import WebSocket from "ws";
let socket;
class Seen extends WebSocket { constructor(...all) { super(...all); socket = this; } }
const client = createClient({
  url: process.argv[1],
  webSocketImpl: Seen,
  connectionParams: { Authorization: "Bearer kgq_alice" },
});
const heard = [];
await new Promise((resolve, reject) => {
  client.subscribe(
    { query: "subscription { ticks { kind values padding } }" },
    { next: ({ data }) => {
        heard.push([data.ticks.values, data.ticks.padding.length]);
        if (heard.length === 5) return resolve();
        client.subscribe({ query: `mutation { add(value: ${heard.length}) }` },
          { next: () => {}, error: reject, complete: () => {} });
      }, error: reject, complete: reject },
  );
});
console.log(JSON.stringify({ heard, extensions: String(socket.extensions) }));
await client.dispose();
"""


async def test_node_reads_it(server: Server) -> None:
    answer = await node(_FOLLOW, server.ws)
    assert "permessage-deflate" in json.dumps(answer["extensions"])
    assert answer["heard"] == [[[*range(1, n)][-1:], len(server.log.padding)] for n in range(1, 6)]
