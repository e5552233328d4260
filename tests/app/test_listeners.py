"""Orchestrators that follow their commands over a real port: their end is seen at once, and ours says nothing of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from websockets.typing import Subprotocol

from kici_gql.actions import listeners as listeners_module
from kici_gql.api.transport.sockets import DrainingServer, http_protocol, websocket_protocol
from kici_gql.app import create_app
from kici_gql.settings import Settings
from tests.api.transport.serving import Client, freeze
from tests.governed import SURFACES
from tests.world import secret_of

ORCHESTRATOR = secret_of("ORCHESTRATOR")
CONNECT = """mutation ($instance: String!) { orchestratorConnect(input: { clusterName: "prod", instanceId: $instance, version: "1",
    host: { hostname: "h", runningAs: "ci", platform: "linux", arch: "x", cpuCount: 1, memoryTotalMb: 1 } }) {
    ... on OrchestratorConnectSuccess { connectionId } } }"""
GOODBYE = """mutation ($id: String!) { orchestratorDisconnect(input: { connectionId: $id, reason: "stopped" }) {
    __typename } }"""
REVOKE = "mutation ($id: ID!) { tokenRevoke(input: { tokenId: $id }) { __typename } }"
COMMANDS = "subscription ($id: String!) { commands(connectionId: $id) { kind } }"
FLEET = "{ org { orchestrators { nodes { instanceId liveness { state reason } } } } }"
FOLLOW = """subscription { infrastructure { kind events {
    ... on OrchestratorChanged { orchestrator { instanceId liveness { state reason } } }
    ... on AlertChanged { alert { kind state } } } } }"""


class App:
    """The whole program in this process, on a port of its own."""

    def __init__(self, server: DrainingServer, running: asyncio.Task[None]) -> None:
        self.server = server
        self.running = running
        self.port: int = server.servers[0].sockets[0].getsockname()[1]
        self.http = httpx.AsyncClient(trust_env=False, verify=False, timeout=30)

    async def ask(self, document: str, token: str = secret_of("ADMIN"), **variables: Any) -> Any:
        """The whole answer of one operation."""
        headers = {"authorization": f"Bearer {token}"}
        sent = {"query": document, "variables": variables}
        return (
            await self.http.post(f"http://127.0.0.1:{self.port}/graphql", json=sent, headers=headers)
        ).json()

    async def connect(self, instance: str) -> str:
        answer = await self.ask(CONNECT, ORCHESTRATOR, instance=instance)
        connection: str = answer["data"]["orchestratorConnect"]["connectionId"]
        return connection

    async def states(self) -> dict[str, str]:
        nodes = (await self.ask(FLEET))["data"]["org"]["orchestrators"]["nodes"]
        return {each["instanceId"]: each["liveness"]["state"] for each in nodes}

    async def become(self, **states: str) -> None:
        async with asyncio.timeout(60):
            while await self.states() != states:  # noqa: ASYNC110 - there is nothing to wait on
                await asyncio.sleep(0.01)

    async def client(self, token: str) -> Client:
        socket = await websockets.connect(
            f"ws://127.0.0.1:{self.port}/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            proxy=None,
        )
        client = Client(socket)
        await client.init(token)
        return client

    async def listen(self, connection: str) -> Client:
        """An orchestrator that follows its commands over a WebSocket."""
        client = await self.client(ORCHESTRATOR)
        await client.subscribe(COMMANDS, id=connection)
        assert (await client.hear())["payload"]["data"]["commands"] == {"kind": "SNAPSHOT"}
        return client

    @asynccontextmanager
    async def stream(self, connection: str) -> AsyncIterator[None]:
        """The same over server-sent events."""
        headers = {"authorization": f"Bearer {ORCHESTRATOR}", "accept": "text/event-stream"}
        sent = {"query": COMMANDS, "variables": {"id": connection}}
        url = f"http://127.0.0.1:{self.port}/graphql"
        async with self.http.stream("POST", url, json=sent, headers=headers) as response:
            lines = response.aiter_lines()
            while "SNAPSHOT" not in await anext(lines):
                pass
            yield

    async def stop(self) -> None:
        """End it in good order; once more does no harm."""
        self.server.should_exit = True
        await self.running
        await self.http.aclose()


@asynccontextmanager
async def serving(database_url: str, **how: Any) -> AsyncIterator[App]:
    app = create_app(Settings(database_url=database_url))
    config = uvicorn.Config(
        app, port=0, log_config=None, access_log=False, ws_per_message_deflate=False,
        http=http_protocol(20), ws=websocket_protocol(20, 0.2), timeout_graceful_shutdown=2, **how,
    )  # fmt: skip
    server = DrainingServer(config, app.state.drain)
    running = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` would take pytest's signals
    while not server.started:  # noqa: ASYNC110 - there is nothing to wait on
        await asyncio.sleep(0.002)
    opened = App(server, running)
    try:
        yield opened
    finally:
        await opened.stop()


async def test_one_after_the_other_dies_and_comes_back(database_url: str) -> None:
    async with serving(database_url) as app:
        one, two = await app.connect("one"), await app.connect("two")
        client = await app.listen(one)
        reader = await app.client(secret_of("VIEWER"))
        await reader.subscribe(FOLLOW)
        await reader.hear()
        async with app.stream(two):
            client.socket.transport.abort()
            await app.become(one="LOST", two="ONLINE")
            answer = await app.ask(SURFACES, name="prod")
            assert answer["data"]["org"]["cluster"]["connected"] is True
        await app.become(one="LOST", two="LOST")
        answer = await app.ask(SURFACES, name="prod")
        cluster = answer["data"]["org"]["cluster"]
        assert cluster["connected"] is False
        assert cluster["disconnectedReason"] == "the connection ended without a goodbye"
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"CLUSTER_DISCONNECTED"}
        told: list[Any] = []
        while len(told) < 4:
            told += (await reader.hear())["payload"]["data"]["infrastructure"]["events"]
        lost = {"state": "LOST", "reason": "the connection ended without a goodbye"}
        alert = {"alert": {"kind": "ORCHESTRATOR_DISCONNECTED", "state": "OPEN"}}
        assert told == [
            {"orchestrator": {"instanceId": "one", "liveness": lost}},
            alert,
            {"orchestrator": {"instanceId": "two", "liveness": lost}},
            alert,
        ]
        again = await app.listen(one)
        async with app.stream(two):
            await app.become(one="ONLINE", two="ONLINE")
        await again.socket.close()
        await reader.socket.close()


async def test_a_peer_behind_a_cut_network_is_gone_when_it_does_not_answer_pings(sqlite_url: str) -> None:
    document = COMMANDS.replace("($id: String!)", "").replace("$id", '"{}"')
    async with serving(sqlite_url, ws_ping_interval=0.2, ws_ping_timeout=0.2) as app:
        connection = await app.connect("one")
        raw = await freeze(app.port, document.replace("{}", connection), ORCHESTRATOR)
        await app.become(one="LOST")
        raw.close()


async def test_our_own_end_says_nothing_of_anybody(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One died a moment before, one comes back to the next process, one says goodbye there, one never comes back."""
    async with serving(database_url) as app:
        connections = {name: await app.connect(name) for name in ("dead", "back", "polite", "away")}
        clients = {name: await app.listen(each) for name, each in connections.items()}
        async with app.stream(connections["back"]):
            monkeypatch.setattr(listeners_module, "GRACE_SECONDS", 3600)
            clients["dead"].socket.transport.abort()
            stopping = asyncio.create_task(app.stop())
            assert (await clients["back"].closed())[0] == 1012
        await stopping
    monkeypatch.setattr(listeners_module, "GRACE_SECONDS", 0)
    async with serving(database_url) as app:
        assert set((await app.states()).values()) == {"ONLINE"}
        back, polite = await app.listen(connections["back"]), await app.listen(connections["polite"])
        await app.ask(GOODBYE, ORCHESTRATOR, id=connections["polite"])
        await polite.socket.close()
        await back.socket.close()
        await app.become(dead="ONLINE", back="LOST", polite="OFFLINE", away="ONLINE")


async def test_several_processes_on_one_database(postgres_url: str) -> None:
    """It comes and goes between them as a load balancer may send it; only the end of the newest connection counts."""
    async with serving(postgres_url) as one, serving(postgres_url) as two:
        connection = await one.connect("one")
        witness = await one.listen(await one.connect("witness"))
        first = await one.listen(connection)
        second = await two.listen(connection)
        await first.socket.close()
        await witness.socket.close()
        await two.become(one="ONLINE", witness="LOST")
        third = await one.listen(connection)
        await two.stop()
        assert (await second.closed())[0] == 1012
        await one.become(one="ONLINE", witness="LOST")
        await third.socket.close()
        await one.become(one="LOST", witness="LOST")


async def test_a_token_that_is_revoked(sqlite_url: str) -> None:
    document = "{ org { tokens { id name } } }"
    async with serving(sqlite_url) as app:
        client = await app.listen(await app.connect("one"))
        tokens = (await app.ask(document))["data"]["org"]["tokens"]
        token_id = next(each["id"] for each in tokens if each["name"] == "orchestrator")
        await app.ask(REVOKE, id=token_id)
        assert (await client.closed())[0] == 4410
        await app.become(one="LOST")
        [node] = (await app.ask(FLEET))["data"]["org"]["orchestrators"]["nodes"]
        assert node["liveness"]["reason"] == "its token was revoked"


async def test_only_its_own_token_makes_an_orchestrator_a_listener(sqlite_url: str) -> None:
    async with serving(sqlite_url) as app:
        connection = await app.connect("one")
        for token in (secret_of("ADMIN"), secret_of("ORCHESTRATOR", "other")):
            client = await app.client(token)
            await client.subscribe(COMMANDS, id=connection)
            assert (await client.hear())["type"] == "error"
            await client.socket.close()
        listening = await app.listen(await app.connect("witness"))
        await listening.socket.close()
        await app.become(one="ONLINE", witness="LOST")
