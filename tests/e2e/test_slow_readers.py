"""Readers at one per cent of the speed that things happen at: nothing is lost, nothing is held for them."""

import asyncio
import json
import socket
from collections import Counter
from typing import Any

import psutil
import pytest
import websockets

from tests.api.transport.serving import Client
from tests.e2e.conftest import Serve
from tests.e2e.pushing import pushing
from tests.world import secret_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

READERS, PUSHES, WARM_UP = 5, 240, 80
PUSHES_PER_READ = 60
AGENTS = [f"a{number}" for number in range(20)]
BEATS = """subscription {{ heartbeats {{ cursor previousCursor events {{
    ... on AgentHeartbeat {{ agentId folded uptimeSeconds {} }} }} }} }}""".format(
    " ".join(f"h{number}: hostname" for number in range(45))
)
ALERTS = """subscription { alerts { cursor previousCursor
    events { ... on AlertChanged { alert { message } } } } }"""


class SlowReader:
    """Two streams on one socket whose kernel buffer is small; counts what it was told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.counted: Counter[str] = Counter()
        self.newest: dict[str, int] = {}
        self.messages: list[str] = []
        self.most_folded = 0
        self._cursors: dict[str, str] = {}

    async def begin(self) -> None:
        """Have both snapshots: what is pushed after that is an event of both streams."""
        for query in (BEATS, ALERTS):
            await self.client.subscribe(query)
        while len(self._cursors) < 2:
            await self.hear()

    async def hear(self) -> None:
        message = await self.client.hear()
        self._take(message["id"], next(iter(message["payload"]["data"].values())))

    async def hear_all(self, last: str) -> None:
        while last not in self.messages or set(self.newest.values()) != {PUSHES}:
            await self.hear()

    def _take(self, stream: str, frame: dict[str, Any]) -> None:
        assert frame["previousCursor"] == self._cursors.get(stream), "the chain is broken"
        self._cursors[stream] = frame["cursor"]
        for event in frame["events"]:
            if "alert" in event:
                self.messages.append(event["alert"]["message"])
            elif "agentId" in event:
                self.counted[event["agentId"]] += event["folded"]
                self.newest[event["agentId"]] = event["uptimeSeconds"]
                self.most_folded = max(self.most_folded, event["folded"])


async def slow_reader(url: str, port: int) -> SlowReader:
    raw = socket.create_connection(("127.0.0.1", port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    connection = await websockets.connect(
        url, sock=raw, subprotocols=[websockets.Subprotocol("graphql-transport-ws")], compression=None,
        max_size=None, max_queue=1, ping_interval=None,
    )  # fmt: skip
    client = Client(connection)
    await client.init(secret_of("VIEWER"))
    return SlowReader(client)


async def test_they_get_every_lossless_event_and_exact_counts_and_cost_no_memory(
    sqlite_url: str, serve: Serve
) -> None:
    server = await serve(sqlite_url, stalled_reader_seconds="200", tail_events="2000")
    readers = [await slow_reader(server.ws, server.port) for _ in range(READERS)]
    sent: list[str] = []
    memory = psutil.Process(server.pid).memory_info
    async with pushing(server) as push:
        connection = await push.connect("one", AGENTS, hostname="h" * 250)
        for reader in readers:
            await reader.begin()
        before = 0
        for number in range(1, PUSHES + 1):
            assert await push.beat(connection, AGENTS, number)
            if number % 8 == 0:
                sent += [f"{number} {letter}" for letter in "abc"]
                assert await push.alert(connection, sent[-3:])
            if number % PUSHES_PER_READ == 0:
                await asyncio.gather(*(reader.hear() for reader in readers))
            if number == WARM_UP:
                before = memory().rss
        grown = (memory().rss - before) / 1_048_576
        assert await push.alert(connection, ["the end"])
        await asyncio.gather(*(reader.hear_all("the end") for reader in readers))
    unread = (PUSHES - WARM_UP) * len(AGENTS) * len(json.dumps("h" * 250)) * 45 * READERS / 1_048_576
    assert grown < unread / 4, f"{grown:.0f} MiB more, {unread:.0f} MiB went by"
    for reader in readers:
        assert reader.messages == [*sent, "the end"], "each once, in order"
        assert reader.counted == dict.fromkeys(AGENTS, PUSHES), "what was folded adds up"
        assert reader.most_folded > 1, "it was behind"
        await reader.client.socket.close()
