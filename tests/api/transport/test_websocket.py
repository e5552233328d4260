"""graphql-transport-ws over real sockets."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets

from kici_gql.api.transport.options import TransportOptions
from tests.api.transport.conftest import Connect
from tests.api.transport.serving import Server, until

Serve = Callable[..., Any]
TICKS = "subscription ($after: String) { ticks(after: $after) { kind cursor previousCursor values } }"


async def test_queries_mutations_and_subscriptions_share_a_socket(server: Server, connect: Connect) -> None:
    client = await connect(server)
    ticks = await client.subscribe(TICKS)
    frame: dict[str, Any] = {"kind": "SNAPSHOT", "cursor": "0", "previousCursor": None, "values": []}
    assert await client.hear() == {"id": ticks, "type": "next", "payload": {"data": {"ticks": frame}}}
    add = await client.subscribe("mutation { add(value: 7) }")
    heard = {
        (message["id"], message["type"]): message.get("payload")
        for message in [await client.hear() for _ in "123"]
    }
    assert heard[add, "next"] == {"data": {"add": 1}}
    assert heard[add, "complete"] is None
    frame = {"kind": "EVENTS", "cursor": "1", "previousCursor": "0", "values": [7]}
    assert heard[ticks, "next"] == {"data": {"ticks": frame}}


async def test_a_client_resumes_behind_its_cursor(server: Server, connect: Connect) -> None:
    server.log.add(1, 2, 3)
    client = await connect(server)
    await client.subscribe(TICKS, after="1")
    assert (await client.hear())["payload"]["data"]["ticks"]["values"] == [2, 3]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { ticks ", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
        ("subscription { tiks { kind } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "OPERATION_RESOLUTION_FAILURE"),
        ("subscription { refused }", "INVALID_INPUT"),
        ("query ($n: Int!) { slow(seconds: $n) }", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation ($n: Int!) { add(value: $n) }", "INVALID_INPUT"),
        ("{" + "hello " * 400 + "}", "LIMIT_EXCEEDED"),
        ("subscription { breaking }", "INTERNAL"),
    ],
)
async def test_what_is_wrong_with_one_operation_leaves_its_siblings_alone(
    server: Server, connect: Connect, query: str, code: str
) -> None:
    client = await connect(server)
    ticks = await client.subscribe(TICKS)
    await client.hear()
    wrong = await client.subscribe(query)
    message = await client.hear()
    if message["type"] == "next":  # `breaking` yields once before it breaks
        message = await client.hear()
    assert (message["id"], message["type"]) == (wrong, "error")
    assert message["payload"][0]["extensions"]["code"] == code
    assert "password" not in json.dumps(message)
    server.log.add(1)
    assert (await client.hear())["id"] == ticks


async def test_a_stream_that_ends_is_completed(server: Server, connect: Connect) -> None:
    client = await connect(server)
    await client.subscribe("subscription { count(upto: 2) }")
    assert [(await client.hear())["type"] for _ in range(3)] == ["next", "next", "complete"]


async def test_complete_stops_a_stream_and_frees_its_id(server: Server, connect: Connect) -> None:
    client = await connect(server)
    await client.subscribe(TICKS)
    await client.hear()
    await client.say(type="complete", id="1")
    await client.say(type="subscribe", id="1", payload={"query": "{ hello }"})
    assert (await client.hear())["payload"] == {"data": {"hello": "hello world"}}
    assert await client.hear() == {"id": "1", "type": "complete"}
    assert server.operations.groups.members == 0


async def test_a_mutation_that_began_is_finished_though_nobody_waits_for_it(
    server: Server, connect: Connect
) -> None:
    client = await connect(server)
    for value in (1, 2):
        await client.subscribe("mutation ($v: Int!) { addSlowly(value: $v, seconds: 0.05) }", v=value)
    await client.subscribe("{ hello }")
    await client.hear()
    await client.say(type="complete", id="1")
    await client.socket.close()
    while len(server.log.values) < 2:
        await server.log.moved()
    assert sorted(server.log.values) == [1, 2]


@pytest.mark.parametrize(
    "frame", ["[]", "null", '{"type":"subscribe","id":"1","payload":null}', b"\x01", "{"]
)
async def test_malformed_frames_close_with_4400(
    server: Server, connect: Connect, frame: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(server)
    await client.socket.send(frame)
    code, reason = await client.closed()
    assert (code, (reason or "")[:16]) == (4400, "Invalid message:")
    assert caplog.records == []


async def test_text_that_is_not_utf8_closes_with_1007_and_costs_no_line_in_the_log(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(server)
    await client.socket.send(b"\xff\xfe", text=True)
    assert await client.closed() == (1007, "a text message must be UTF-8")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_socket_that_never_says_who_it_is_is_closed(serve: Serve, connect: Connect) -> None:
    async with serve(TransportOptions(init_seconds=0.05)) as server:
        client = await connect(server, init=False)
        assert await client.closed() == (4408, "Connection initialisation timeout")


async def test_an_authenticator_that_hangs_is_bounded(serve: Serve, connect: Connect) -> None:
    async with serve(TransportOptions(authenticate_seconds=0.05)) as server:
        server.doorman.hang = True
        client = await connect(server, init=False)
        await client.say(type="connection_init")
        assert await client.closed() == (4408, "Authentication took too long")


async def test_a_wrong_token_is_forbidden(server: Server, connect: Connect) -> None:
    client = await connect(server, init=False)
    await client.say(type="connection_init", payload={"Authorization": "Bearer kgq_nobody"})
    assert await client.closed() == (4403, "Forbidden: this token is not valid")


async def test_the_token_may_come_with_the_handshake(server: Server, connect: Connect) -> None:
    for headers in ({"Authorization": "Bearer kgq_bob"}, {"Cookie": "kici_session=kgq_bob"}):
        client = await connect(server, init=False, additional_headers=headers)
        await client.say(type="connection_init")
        assert await client.hear() == {"type": "connection_ack"}
        await client.subscribe("{ who }")
        assert (await client.hear())["payload"] == {"data": {"who": "bob"}}


@pytest.mark.parametrize(("reason", "code"), [("revoked", 4410), ("expired", 4411)])
async def test_a_token_that_ends_closes_its_sockets_and_no_other(
    server: Server, connect: Connect, reason: str, code: int
) -> None:
    alice, bob = await connect(server), await connect(server, token="kgq_bob")
    for client in (alice, bob):
        await client.subscribe(TICKS)
        await client.hear()
    server.doorman.end("alice", reason)
    async with asyncio.timeout(10):
        assert (await alice.closed())[0] == code
    server.log.add(1)
    assert (await bob.hear())["payload"]["data"]["ticks"]["values"] == [1]
    assert server.doorman.watchers["alice"] == []


async def test_the_server_pings(serve: Serve, connect: Connect) -> None:
    async with serve(TransportOptions(ping_seconds=0.02)) as server:
        client = await connect(server)
        for _ in range(2):
            assert json.loads(await client.socket.recv()) == {"type": "ping"}
            await client.say(type="pong")


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ({"subprotocols": ["graphql-ws"]}, 400, "graphql-transport-ws"),
        ({"subprotocols": None}, 400, "graphql-transport-ws"),
        ({"origin": "https://evil.example"}, 403, "KICI_GQL_ALLOWED_ORIGINS"),
    ],
)
async def test_handshakes_are_refused_with_a_reason(
    server: Server,
    connect: Connect,
    arguments: dict[str, Any],
    status: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(server, **arguments)
    await asyncio.sleep(0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert caught.value.response.status_code == status
    assert text in json.loads(caught.value.response.body)["errors"][0]["message"]


async def test_our_own_pages_and_allowed_ones_may_connect(serve: Serve, connect: Connect) -> None:
    async with serve(TransportOptions(allowed_origins=("https://dash.example",))) as server:
        await connect(server, origin=f"http://127.0.0.1:{server.port}")
        await connect(
            server, origin="https://dash.example", subprotocols=["graphql-ws", "graphql-transport-ws"]
        )


async def test_connections_are_limited_in_all_and_per_token(serve: Serve, connect: Connect) -> None:
    async with serve(TransportOptions(max_connections=2, max_connections_per_token=1)) as server:
        first = await connect(server)
        second = await connect(server, init=False)
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(server)
        assert caught.value.response.status_code == 503
        assert b"max_connections=2" in (caught.value.response.body or b"")
        assert caught.value.response.headers["retry-after"]
        await second.say(type="connection_init", payload={"token": "kgq_alice"})
        code, reason = await second.closed()
        assert code == 4412
        assert "max_connections_per_token=1" in (reason or "")
        await first.socket.close()
        await (await connect(server)).subscribe("{ hello }")


async def test_subscriptions_are_limited_per_token_over_all_its_sockets(
    serve: Serve, connect: Connect
) -> None:
    async with serve(TransportOptions(max_subscriptions_per_token=1)) as server:
        one, other = await connect(server), await connect(server)
        await one.subscribe(TICKS)
        await one.hear()
        await other.subscribe(TICKS)
        message = await other.hear()
        assert message["type"] == "error"
        assert "max_subscriptions_per_token=1" in message["payload"][0]["message"]
        await one.say(type="complete", id="1")
        await one.subscribe("{ hello }")
        await one.hear()
        await other.subscribe(TICKS)
        assert (await other.hear())["type"] == "next"


async def test_a_message_that_is_too_long_closes_with_1009(serve: Serve, connect: Connect) -> None:
    async with serve(TransportOptions(max_message_bytes=1000)) as server:
        client = await connect(server)
        await client.subscribe("{ hello }" + " " * 1000)
        assert (await client.closed())[0] == 1009


async def test_nothing_is_left_of_a_client_that_vanishes(server: Server, connect: Connect) -> None:
    tasks = asyncio.all_tasks()
    client = await connect(server)
    for _ in range(5):
        await client.subscribe(TICKS)
        await client.hear()
    client.socket.transport.abort()
    await until(lambda: not server.endpoint.gate.connections and not server.operations.groups.members)
    assert server.doorman.watchers["alice"] == []
    await client.socket.wait_closed()
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() - tasks if not task.done()} == set()


async def test_a_hundred_sockets_cost_one_execution_per_frame(server: Server, connect: Connect) -> None:
    clients = await asyncio.gather(*(connect(server) for _ in range(100)))
    query = 'subscription { ticks(after: "0") { values executions } }'
    server.log.executions = 0
    for client in clients:
        await client.subscribe(query)
    await until(lambda: server.operations.groups.members == 100)
    server.log.add(5)
    frames = [(await client.hear())["payload"]["data"]["ticks"] for client in clients]
    assert frames == [{"values": [5], "executions": 1}] * 100


@asynccontextmanager
async def gql_session(server: Server) -> Any:
    from gql import Client
    from gql.transport.websockets import WebsocketsTransport

    transport = WebsocketsTransport(
        server.ws,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload={"Authorization": "Bearer kgq_alice"},
        connect_args={"proxy": None},
    )
    async with Client(transport=transport) as session:
        yield session


async def test_the_python_client_gql_gets_along(server: Server) -> None:
    from gql import gql

    async with gql_session(server) as session:
        assert await session.execute(gql("{ hello }")) == {"hello": "hello world"}
        stream = session.subscribe(gql("subscription { ticks { kind values } }"))
        assert (await anext(stream))["ticks"]["kind"] == "SNAPSHOT"
        assert await session.execute(gql("mutation { add(value: 3) }")) == {"add": 1}
        assert (await anext(stream))["ticks"] == {"kind": "EVENTS", "values": [3]}
        await stream.aclose()
