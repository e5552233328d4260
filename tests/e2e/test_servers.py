"""What only real processes show: two of them behind one database, signals, and whatever people send over HTTP."""

import asyncio
import contextlib
import json
import signal
import string
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed

from tests.api.transport.serving import Client
from tests.e2e.conftest import Serve
from tests.e2e.servers import ServerProcess
from tests.promised import kept
from tests.world import secret_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

PROTOCOL = Subprotocol("graphql-transport-ws")
WATCH = "subscription { infrastructure { kind cursor } }"
REVOKE = "mutation ($id: ID!) { tokenRevoke(input: {tokenId: $id}) { __typename } }"


@contextlib.asynccontextmanager
async def socket_of(server: ServerProcess, token: str) -> AsyncIterator[Client]:
    connection = await websockets.connect(
        server.ws, subprotocols=[PROTOCOL], compression=None, proxy=None, open_timeout=60
    )
    async with connection:
        client = Client(connection)
        await client.init(token)
        yield client


async def closing(client: Client) -> tuple[int | None, float]:
    """Read until the server closes; answers the code and when that was."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.hear()
    return client.socket.close_code, time.monotonic()


async def event_stream(server: ServerProcess, token: str, heard: list[str]) -> float:
    """Read a stream over SSE until the server ends it; answers when that was."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{server.url}/graphql", json={"query": WATCH}, headers=headers) as answer,
    ):
        async for line in answer.aiter_lines():
            heard.append(line)  # noqa: PERF401 - whoever started us looks at it meanwhile
    return time.monotonic()


async def test_a_revoked_token_ends_its_streams_in_another_process_too(
    postgres_url: str, redis_url: str, serve: Serve
) -> None:
    """Measured on an idle machine: some 10 ms by the bell; without it, by the look, within a second."""
    one, two = await asyncio.gather(
        serve(postgres_url, broadcast_url=redis_url), serve(postgres_url, broadcast_url=redis_url)
    )

    async def attempt() -> float:
        token_id, token = one.token("VIEWER")
        async with (
            socket_of(one, token) as here,
            socket_of(two, token) as there,
            socket_of(two, secret_of("VIEWER")) as other,
        ):
            for client in (here, there, other):
                await client.subscribe(WATCH)
                assert (await client.hear())["type"] == "next"
            heard: list[str] = []
            events = asyncio.create_task(event_stream(two, token, heard))
            while not any("SNAPSHOT" in line for line in heard):  # noqa: ASYNC110 - there is nothing to wait on
                await asyncio.sleep(0.01)
            await asyncio.to_thread(one.execute, REVOKE, id=token_id)
            revoked = time.monotonic()
            async with asyncio.timeout(60):
                ends = await asyncio.gather(closing(here), closing(there))
                ended = await events
            assert [code for code, _ in ends] == [4410, 4410]
            await other.subscribe(WATCH)
            assert (await other.hear())["type"] == "next", "other tokens stay"
        payload, headers = {"query": "{ viewer { scope } }"}, {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(timeout=30) as http:
            for server in (one, two):
                answer = await http.post(f"{server.url}/graphql", json=payload, headers=headers)
                assert answer.status_code == 401
        return max(*(at for _, at in ends), ended) - revoked

    assert await kept(1, attempt)


async def test_a_cursor_of_one_process_and_transport_resumes_on_another(
    postgres_url: str, redis_url: str, serve: Serve
) -> None:
    one, two = await asyncio.gather(
        serve(postgres_url, broadcast_url=redis_url), serve(postgres_url, broadcast_url=redis_url)
    )
    async with socket_of(one, secret_of("VIEWER")) as client:
        await client.subscribe(WATCH)
        cursor = (await client.hear())["payload"]["data"]["infrastructure"]["cursor"]
    connect = """mutation { orchestratorConnect(input: {clusterName: "prod", version: "1", host: {hostname: "h", runningAs: "u",
        platform: "linux", arch: "x", cpuCount: 1, memoryTotalMb: 1}}) { __typename } }"""
    two.execute(connect, secret_of("ORCHESTRATOR"))
    query = "subscription ($after: Cursor) { infrastructure(after: $after) { kind previousCursor events { __typename } } }"
    headers = {"Authorization": f"Bearer {secret_of('VIEWER')}", "Accept": "text/event-stream"}
    payload = {"query": query, "variables": {"after": cursor}}
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("POST", f"{two.url}/graphql", json=payload, headers=headers) as answer,
    ):
        lines = aiter(answer.aiter_lines())
        line = ""
        while not line.startswith("data:") or "infrastructure" not in line:
            line = await anext(lines)
    frame = json.loads(line[5:])["data"]["infrastructure"]
    assert (frame["kind"], frame["previousCursor"]) == ("EVENTS", cursor)
    assert [each["__typename"] for each in frame["events"]] == ["ClusterChanged", "OrchestratorChanged"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_asked_to_stop_with_open_sockets(
    workers: int, request: pytest.FixtureRequest, serve: Serve
) -> None:
    if workers == 1:
        server = await serve(request.getfixturevalue("sqlite_url"), shutdown_seconds="30")
    else:
        bus = request.getfixturevalue("redis_url")
        server = await serve(
            request.getfixturevalue("postgres_url"),
            broadcast_url=bus,
            workers=str(workers),
            shutdown_seconds="30",
        )
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(socket_of(server, secret_of("VIEWER"))) for _ in range(20)]
        for client in clients:
            await client.subscribe(WATCH)
            assert (await client.hear())["type"] == "next"
        heard: list[str] = []
        events = asyncio.create_task(event_stream(server, secret_of("VIEWER"), heard))
        while not any("SNAPSHOT" in line for line in heard):  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.01)
        began = time.monotonic()
        server.terminate()
        ends = await asyncio.gather(*map(closing, clients))
        assert {code for code, _ in ends} == {1012}
        farewell = "server restarting, resume with your cursor"
        assert {client.socket.close_reason for client in clients} == {farewell}
        await events
        # uvicorn ends by the signal that it was sent, once everything is in order.
        assert await asyncio.to_thread(server.wait, 60) in {0, -signal.SIGTERM}
        assert time.monotonic() - began < 30, "shutdown_seconds"


async def test_what_the_metrics_tell_of_subscriptions_and_links(sqlite_url: str, serve: Serve) -> None:
    server = await serve(sqlite_url)
    connect = """mutation { orchestratorConnect(input: {clusterName: "prod", version: "1", host: {hostname: "h",
        runningAs: "u", platform: "linux", arch: "x", cpuCount: 1, memoryTotalMb: 1}}) { __typename } }"""
    relay = server.ws.replace("/graphql", "/ws")
    async with (
        socket_of(server, secret_of("VIEWER")) as one,
        socket_of(server, secret_of("VIEWER")) as two,
        websockets.connect(relay, proxy=None),
        httpx.AsyncClient(timeout=30) as http,
    ):
        for client in (one, two):
            await client.subscribe(WATCH)
            await client.hear()
        await asyncio.to_thread(server.execute, connect, secret_of("ORCHESTRATOR"))
        for client in (one, two):
            await client.hear()
        told = text_string_to_metric_families((await http.get(f"{server.url}/metrics")).text)
    figures = {each.name.removeprefix("kici_gql_"): each.value for family in told for each in family.samples}
    assert figures["relay_links"] == 1
    assert figures["subscriptions"] == figures["subscriptions_live"] == 2
    assert figures["subscription_groups"] == 1
    assert figures["pages_rendered_total"] < figures["pages_delivered_total"]
    assert figures["recent_pages_bytes"] > 0
    assert (figures["followed_orgs"], figures["feed_lag_events"]) == (1, 0)


# ── Whatever people send ──


@pytest.fixture(scope="module")
def running(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    import shutil

    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("fuzz") / "test.db")
    server = ServerProcess(f"sqlite+aiosqlite:///{path}", secret_of("ADMIN"))
    server.start()
    yield server
    server.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
QUERIES = (
    st.sampled_from(
        ["{ org { id } }", "{ nodes(ids: []) { id } }", "subscription { alerts { kind } }", "mutation { x }"]
    )
    | st.text(max_size=40)
    | st.text(alphabet=string.ascii_letters + '{}()[]!$@:=|&"\\ ,.#-0123456789\n', max_size=60)
)
REQUESTS = st.fixed_dictionaries(
    {"query": QUERIES | JSON},
    optional={"variables": JSON, "operationName": JSON, "extensions": JSON, "id": JSON},
)
BODIES = (
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | REQUESTS.map(lambda value: json.dumps(value).encode())
    | st.lists(REQUESTS, max_size=2).map(lambda value: json.dumps(value).encode())
    | st.sampled_from(
        [b"[" * 5000, b'{"query":' * 3000, b'{"query":"' + b"{a" * 9000 + b'"}', b"\xff\xfe", b"null"]
    )
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=latin-9",
        "application/json; charset=\\",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "a/b;;;=",
        "",
    ]
)


@pytest.fixture(scope="module")
def http(running: ServerProcess) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {running.admin}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=30) as client:
        yield client


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, (answer.status_code, answer.text[:500])
    if "event-stream" in answer.headers["content-type"]:
        return
    body = answer.json()
    assert "data" in body or body["errors"], body
    for error in body.get("errors", []):
        assert error["extensions"]["code"] != "INTERNAL", error
        assert error["message"]
        assert "Traceback" not in str(error)


@given(BODIES, TYPES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_gets_json_and_never_a_crash(http: httpx.Client, body: bytes, content_type: str) -> None:
    check(http.post("/graphql", content=body, headers={"content-type": content_type}))


@given(
    st.dictionaries(
        st.sampled_from(["query", "variables", "operationName", "extensions", "x"]), st.text(max_size=30)
    )
)
@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_address_gets_json_and_never_a_crash(http: httpx.Client, parameters: dict[str, str]) -> None:
    check(http.get("/graphql", params=parameters, headers={"accept": "application/json"}))


@given(st.lists(JSON | REQUESTS, max_size=3))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frames_get_an_answer_or_a_close_code(running: ServerProcess, frames: list[Any]) -> None:
    from websockets.sync.client import connect

    with connect(running.ws, subprotocols=[PROTOCOL], compression=None, proxy=None) as socket:
        with contextlib.suppress(ConnectionClosed):
            token = {"Authorization": f"Bearer {running.admin}"}
            socket.send(json.dumps({"type": "connection_init", "payload": token}))
            for number, frame in enumerate(frames):
                message = {"id": str(number), "type": "subscribe", "payload": frame}
                socket.send(json.dumps(message if number % 2 == 0 else frame))
            socket.send(json.dumps({"type": "ping"}))
            while json.loads(socket.recv(timeout=20))["type"] != "pong":
                pass
        if socket.close_code is not None:
            assert 4400 <= socket.close_code < 4500, (socket.close_code, socket.close_reason)


def test_it_is_still_well(running: ServerProcess, http: httpx.Client) -> None:
    assert http.get("/readyz").json()["ready"]
    assert running.execute("{ viewer { scope } }") == {"viewer": {"scope": "ADMIN"}}
