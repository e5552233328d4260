"""`kill -9` or SIGTERM in the middle of a stream of pushes: nothing acknowledged is lost, nothing is told twice."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

import resuming
from kici_gql.events import EventType
from kici_gql.settings import Settings
from tests.api.transport.serving import freeze
from tests.e2e.conftest import Serve
from tests.e2e.servers import ServerProcess
from tests.world import Clock, secret_of, world_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

EVENTS = 1200
KILLS = 3
PUSHERS = 6
ALERTS = 5  # a push

FOLLOW = """subscription ($after: Cursor) { alerts(after: $after) { kind cursor previousCursor reason
    snapshot { alerts { message } } events { __typename ... on AlertChanged { alert { message version } } } } }"""
CONNECT = """mutation ($input: OrchestratorConnectInput!) { orchestratorConnect(input: $input) {
    ... on OrchestratorConnectSuccess { connectionId } ... on Error { message } } }"""
REPORT = """mutation ($input: OrchestratorReportAlertsInput!) { orchestratorReportAlerts(input: $input) {
    __typename ... on OrchestratorReportAlertsSuccess { cursor } ... on Error { message } } }"""
HOST = {
    "hostname": "h",
    "runningAs": "ci",
    "platform": "linux",
    "arch": "x",
    "cpuCount": 1,
    "memoryTotalMb": 1,
}


class Follower:
    """What a client was told, whatever library it follows with."""

    def __init__(self, name: str, frames: AsyncIterator[dict[str, Any]]) -> None:
        self.name = name
        self.messages: list[str] = []
        self.kinds: Counter[str] = Counter()
        self._frames = frames
        self._cursor: str | None = None

    async def follow(self, until: str) -> None:
        async for frame in self._frames:
            self.kinds[frame["kind"]] += 1
            assert frame["previousCursor"] == self._cursor, f"{self.name}: the chain is broken"
            self._cursor = frame["cursor"]
            for event in frame["events"]:
                assert event["alert"]["version"] == 1, "an alert that was pushed again is not told again"
                self.messages.append(event["alert"]["message"])
            if self.messages and self.messages[-1] == until:
                return


class Pusher:
    """Pushes until it is acknowledged, then the next: what is in `acknowledged` must never be lost."""

    def __init__(self, server: ServerProcess, connection_id: str) -> None:
        self.server = server
        self.connection_id = connection_id
        self.acknowledged: list[str] = []
        self.failures = 0

    async def push(self, messages: list[str]) -> None:
        alerts = [{"dedupeKey": text[:100], "severity": "INFO", "message": text} for text in messages]
        payload = {
            "query": REPORT,
            "variables": {"input": {"connectionId": self.connection_id, "alerts": alerts}},
        }
        headers = {"Authorization": f"Bearer {secret_of('ORCHESTRATOR')}"}
        while True:
            try:
                async with httpx.AsyncClient(timeout=10, verify=False) as client:
                    answer = await client.post(f"{self.server.url}/graphql", json=payload, headers=headers)
                if answer.json()["data"]["orchestratorReportAlerts"]["__typename"].endswith("Success"):
                    self.acknowledged += messages
                    return
                raise AssertionError(answer.text)
            except httpx.TransportError:
                self.failures += 1
                await asyncio.sleep(0.05)


async def test_killed_in_the_middle_of_pushes(
    database_url: str,
    serve: Serve,
    clock: Clock,
    rng: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    follow_with_node: Callable[..., Awaitable[AsyncIterator[dict[str, Any]]]],
) -> None:
    monkeypatch.setattr(resuming, "FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(resuming, "MOST_WAIT_SECONDS", 0.3)
    server = await serve(database_url)
    answer = server.execute(
        CONNECT, secret_of("ORCHESTRATOR"), input={"clusterName": "prod", "version": "1", "host": HOST}
    )
    pusher = Pusher(server, answer["orchestratorConnect"]["connectionId"])
    token = secret_of("VIEWER")
    followers = [
        Follower("gql", resuming.frames(server.url, token, FOLLOW)),
        Follower("graphql-ws", await follow_with_node(server.ws, token, FOLLOW)),
    ]
    work = [f"{number:04}" for number in range(EVENTS)]
    batches = [work[at : at + ALERTS] for at in range(0, EVENTS, ALERTS)]
    kill_at = sorted(rng.sample(range(20, EVENTS - 20), KILLS))

    async def push_all() -> None:
        queue = iter(batches)

        async def run() -> None:
            for batch in queue:
                await pusher.push(batch)

        await asyncio.gather(*(run() for _ in range(PUSHERS)))

    async def kill_and_restart() -> None:
        for count in kill_at:
            while len(pusher.acknowledged) < count:  # noqa: ASYNC110 - there is nothing to wait on
                await asyncio.sleep(0.001)
            await asyncio.sleep(rng.random() * 0.02)  # anywhere in the life of a push
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    following = [asyncio.create_task(each.follow("the end")) for each in followers]
    while not all(each.kinds for each in followers):  # noqa: ASYNC110 - nor here
        await asyncio.sleep(0.01)
    await asyncio.gather(push_all(), kill_and_restart())
    await pusher.push(["the end"])
    await asyncio.wait_for(asyncio.gather(*following), 120)

    assert pusher.failures >= KILLS, "the server was killed in the middle of pushes"
    await asyncio.to_thread(server.stop)
    async with world_of(Settings(database_url=database_url), clock) as world:
        stored = [
            event.data["message"]
            for _, event in await world.events()
            if event.type is EventType.ALERT_CHANGED and event.data["kind"] == "REPORTED"
        ]
    assert len(stored) == len(set(stored)) == EVENTS + 1
    assert set(pusher.acknowledged) == set(stored)
    for each in followers:
        assert each.messages == stored, f"{each.name}: every event exactly once, in order"
        assert set(each.kinds) <= {"SNAPSHOT", "EVENTS", "BOOKMARK"}
        assert each.kinds["SNAPSHOT"] == 1


LIVE, FROZEN = 100, 20
SPARE_SECONDS = 12  # for a busy machine; by themselves they would hold it up for 20 s or for ever
LARGE = "subscription {{ alerts {{ events {{ ... on AlertChanged {{ alert {{ {} }} }} }} }} }}".format(
    " ".join(f"m{number}: message" for number in range(45))
)


async def test_asked_to_stop_among_frozen_clients(
    sqlite_url: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty that have stopped reading, with full buffers, hold up neither the end nor the other hundred."""
    monkeypatch.setattr(resuming, "FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(resuming, "MOST_WAIT_SECONDS", 0.3)
    token = secret_of("VIEWER")
    server = await serve(sqlite_url, shutdown_seconds="4")
    answer = server.execute(
        CONNECT, secret_of("ORCHESTRATOR"), input={"clusterName": "prod", "version": "1", "host": HOST}
    )
    pusher = Pusher(server, answer["orchestratorConnect"]["connectionId"])
    frozen = [await freeze(server.port, LARGE, token) for _ in range(FROZEN)]
    followers = [Follower(f"{n}", resuming.frames(server.url, token, FOLLOW)) for n in range(LIVE)]
    following = [asyncio.create_task(each.follow("the end")) for each in followers]
    while not all(each.kinds for each in followers):  # noqa: ASYNC110 - there is nothing to wait on
        await asyncio.sleep(0.01)
    texts = [f"{number:04} {'x' * 900}" for number in range(200)]

    async def push(part: list[str]) -> None:
        for at in range(0, len(part), ALERTS):
            await pusher.push(part[at : at + ALERTS])

    await push(texts[:130])  # some 5 MB for each frozen one: more than the kernel takes for it
    pushing = asyncio.create_task(push(texts[130:]))
    began = time.monotonic()
    server.terminate()
    assert await asyncio.to_thread(server.wait, 60) in {0, -signal.SIGTERM}
    assert time.monotonic() - began < 4 + SPARE_SECONDS, "shutdown_seconds"
    await asyncio.to_thread(server.start)
    await pushing
    await pusher.push(["the end"])
    await asyncio.wait_for(asyncio.gather(*following), 120)
    for each in followers:
        assert each.messages == [*texts, "the end"], f"{each.name}: every event exactly once, in order"
        assert each.kinds["SNAPSHOT"] == 1
        assert set(each.kinds) <= {"SNAPSHOT", "EVENTS", "BOOKMARK"}
    for raw in frozen:
        raw.close()
