"""Connections that break at random places: in the end every client believes what the server knows, and missed nothing.

`CHAOS_SECONDS=120 python -m pytest tests/e2e/test_chaos.py` goes on for longer.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator

import httpx
import pytest

import resuming
from tests.e2e.conftest import Serve
from tests.e2e.proxy import Proxy, between
from tests.e2e.pushing import Pushing, pushing
from tests.folding import (
    FIGURES,
    HEARTBEATS,
    INFRASTRUCTURE,
    QUERY,
    Believer,
    Frame,
    by_id,
    check_figures,
    unresolved,
)
from tests.world import secret_of

SECONDS = float(os.environ.get("CHAOS_SECONDS", "5"))
CLIENTS = 3  # of each stream over each transport
AGENTS = [f"a{number}" for number in range(20)]

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


async def events_of_stream(port: int, token: str, query: str) -> AsyncIterator[Frame]:
    """What an EventSource does: it reconnects, and says which event was its last."""
    last = ""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    while True:
        resume = {"Last-Event-ID": last} if last else {}
        try:
            async with (
                httpx.AsyncClient(timeout=10) as http,
                http.stream(
                    "POST",
                    f"http://127.0.0.1:{port}/graphql",
                    json={"query": query},
                    headers=headers | resume,
                ) as answer,
            ):
                assert answer.status_code == 200
                event: dict[str, str] = {}
                async for line in answer.aiter_lines():
                    if line:
                        name, _, value = line.partition(": ")
                        event[name] = value
                    elif data := json.loads(event.get("data") or "{}").get("data"):
                        yield next(iter(data.values()))
                        last, event = event["id"], {}
        except httpx.TransportError:
            await asyncio.sleep(0.05)


async def believe(believer: Believer, frames: AsyncIterator[Frame]) -> None:
    async for frame in frames:
        believer.take(frame)


class Fleet:
    """Three orchestrators that come, beat, complain and go."""

    def __init__(self, push: Pushing, rng: random.Random) -> None:
        self._push = push
        self._rng = rng
        self._connections: dict[str, str] = {}

    async def live(self, until: float) -> None:
        while time.monotonic() < until:
            await self._step()
            await asyncio.sleep(self._rng.random() * 0.05)

    async def _step(self) -> None:
        instance, figure = self._rng.choice(["one", "two", "three"]), self._rng.randrange(1000)
        agents = [name for name in AGENTS if self._owner(name) == instance]
        connection = self._connections.get(instance)
        if connection is None:
            self._connections[instance] = await self._push.connect(instance, agents)
        elif figure < 30:
            await self._push.goodbye(self._connections.pop(instance))
        elif figure < 250:
            texts = [f"{instance} {self._rng.randrange(5)}" for _ in range(2)]
            await self._push.alert(connection, sorted(set(texts)), resolved=figure < 100)
        else:
            await self._push.beat(
                connection, self._rng.sample(agents, self._rng.randrange(1, len(agents))), figure
            )

    def _owner(self, agent: str) -> str:
        return ["one", "two", "three"][AGENTS.index(agent) % 3]


def clients(proxy: Proxy) -> list[tuple[Believer, AsyncIterator[Frame]]]:
    """Both streams over both transports."""
    token, url = secret_of("VIEWER"), f"http://127.0.0.1:{proxy.port}"
    return [
        (
            Believer(query),
            resuming.frames(url, token, query)
            if over == "ws"
            else events_of_stream(proxy.port, token, query),
        )
        for query in (INFRASTRUCTURE, HEARTBEATS)
        for over in ("ws", "sse")
        for _ in range(CLIENTS)
    ]


async def test_every_client_ends_with_what_the_server_knows(
    sqlite_url: str, serve: Serve, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "FIRST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(resuming, "MOST_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(resuming, "SILENCE_SECONDS", 10)
    server = await serve(sqlite_url, bookmark_seconds="0.2")
    async with pushing(server) as push, between(server.port, rng) as proxy:
        following = clients(proxy)
        tasks = [asyncio.create_task(believe(*each)) for each in following]
        await Fleet(push, rng).live(time.monotonic() + SECONDS)
        proxy.calm = True
        believers = [believer for believer, _ in following]
        head = (await asyncio.to_thread(server.execute, "{ org { cursor } }"))["org"]["cursor"]
        await arrived(believers, head, tasks)
        wanted = by_id((await asyncio.to_thread(server.execute, QUERY))["org"])
        figures = by_id((await asyncio.to_thread(server.execute, FIGURES))["org"])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert proxy.cuts > SECONDS
    stories = {tuple(believer.heard) for believer in believers if believer.query == INFRASTRUCTURE}
    longest = max(stories, key=len)
    for believer in believers:
        assert set(believer.kinds[1:]) <= {"EVENTS", "BOOKMARK"}, believer.kinds[:3]
        if believer.query == HEARTBEATS:
            check_figures(believer, wanted, figures)
        else:
            assert unresolved(believer.known) == unresolved(wanted)
    for story in stories:
        assert story == longest[len(longest) - len(story) :], "each event once, in order"


async def arrived(believers: list[Believer], head: str, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until everybody stands where the server does; whatever broke a client is raised."""
    async with asyncio.timeout(60):
        while any(believer.cursor != head for believer in believers):
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)
