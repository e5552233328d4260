"""GraphQL over HTTP beyond what the audits look at, and event streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from kici_gql.api.engine.limits import Limits
from kici_gql.api.transport.options import TransportOptions
from tests.api.transport.serving import Server, until

Serve = Callable[..., Any]
ALICE = {"authorization": "Bearer kgq_alice"}
NEW = {"accept": "application/graphql-response+json"}
EVENTS = {"accept": "text/event-stream"}
TICKS = "subscription ($after: String) { ticks(after: $after) { kind cursor values } }"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(headers=ALICE, trust_env=False, verify=False, timeout=10) as client:
        yield client


async def post(http: httpx.AsyncClient, server: Server, query: str, **headers: str) -> httpx.Response:
    return await http.post(server.http, json={"query": query}, headers=headers)


def code(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    return str(error["extensions"]["code"])


async def test_an_answer_says_who_asked_for_it(server: Server, http: httpx.AsyncClient) -> None:
    response = await post(http, server, "{ hello who }", **NEW)
    assert response.json() == {"data": {"hello": "hello world", "who": "alice"}}
    assert response.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]


async def test_masked_errors_carry_the_request_id_of_the_header(
    server: Server, http: httpx.AsyncClient
) -> None:
    response = await post(http, server, "{ secret }")
    assert response.json()["errors"][0]["extensions"]["requestId"] == response.headers["x-request-id"]
    assert "password" not in response.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation ($v: Int!) { add(value: $v) }", "INVALID_INPUT"),
        ("query A { hello } query B { hello }", "OPERATION_RESOLUTION_FAILURE"),
    ],
)
async def test_request_errors_are_400_for_the_new_type_and_200_for_the_old(
    server: Server, http: httpx.AsyncClient, query: str, expected: str
) -> None:
    new, old = (
        await post(http, server, query, **NEW),
        await post(http, server, query, accept="application/json"),
    )
    assert (new.status_code, old.status_code) == (400, 200)
    assert code(new) == code(old) == expected
    assert "data" not in new.json()


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer kgq_nobody"}, {"cookie": "kici_session=kgq_x"}]
)
async def test_no_valid_token_is_401_with_a_challenge(server: Server, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(trust_env=False) as anonymous:
        response = await anonymous.post(server.http, json={"query": "{ hello }"}, headers=headers)
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_cookie_may_read_but_writes_only_with_the_custom_header(server: Server) -> None:
    cookie = {"cookie": "kici_session=kgq_alice"}
    async with httpx.AsyncClient(trust_env=False, headers=cookie) as browser:
        assert (await post(browser, server, "{ who }")).json() == {"data": {"who": "alice"}}
        refused = await post(browser, server, "mutation { add(value: 1) }")
        assert (refused.status_code, code(refused)) == (403, "FORBIDDEN")
        assert server.log.values == []
        accepted = await post(browser, server, "mutation { add(value: 1) }", **{"x-kici-csrf": "1"})
        assert accepted.json() == {"data": {"add": 1}}


async def test_get_reads_and_never_writes(server: Server, http: httpx.AsyncClient) -> None:
    query = {
        "query": "query Q($n: String!) { hello(name: $n) }",
        "variables": '{"n":"ü"}',
        "operationName": "Q",
    }
    assert (await http.get(server.http, params=query)).json() == {"data": {"hello": "hello ü"}}
    refused = await http.get(server.http, params={"query": "mutation { add(value: 1) }"})
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert server.log.values == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_405(server: Server, http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, server.http)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("headers", "body", "status", "text"),
    [
        ({"content-type": "application/json"}, b"[]", 400, "Batched requests"),
        ({"content-type": "application/json"}, b'[{"query":"{hello}"}]', 400, "Batched requests"),
        ({"content-type": "application/json"}, b"\xff\xfe", 400, "not valid JSON"),
        ({"content-type": "application/json"}, b"", 400, "not valid JSON"),
        ({"content-type": "application/json"}, b'"{hello}"', 400, "must be a JSON object"),
        ({"content-type": "application/json"}, b'{"query":7}', 400, '"query" must be a string'),
        (
            {"content-type": "application/json"},
            b'{"query":"{hello}","variables":[]}',
            400,
            '"variables" must be',
        ),
        ({"content-type": "text/plain"}, b'{"query":"{hello}"}', 415, "application/json"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"", 415, "application/json"),
        ({}, b'{"query":"{hello}"}', 415, "application/json"),
        ({"content-type": "application/json; charset=latin-1"}, b"{}", 415, "UTF-8"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"{}", 415, "Compressed"),
        (
            {"content-type": "application/json", "accept": "text/html"},
            b'{"query":"{hello}"}',
            406,
            "media types",
        ),
    ],
)
async def test_what_is_no_graphql_request_says_why(
    server: Server, http: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int, text: str
) -> None:
    response = await http.post(server.http, content=body, headers=headers)
    assert response.status_code == status
    assert text in response.json()["errors"][0]["message"]


async def test_a_body_over_the_limit_is_413_declared_or_streamed(
    serve: Serve, http: httpx.AsyncClient
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    headers = {"content-type": "application/json"}
    async with serve(TransportOptions(max_body_bytes=1000)) as server:
        for content in (b"x" * 1001, endless()):
            response = await http.post(server.http, content=content, headers=headers)
            assert (response.status_code, code(response)) == (413, "LIMIT_EXCEEDED")
            assert "max_body_bytes=1000" in response.text
            assert response.headers["connection"] == "close"


async def test_a_body_that_trickles_is_408(serve: Serve) -> None:
    async with serve(TransportOptions(body_seconds=0.05)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: {ALICE['authorization']}\r\n"
        writer.write(f"{head}content-type: application/json\r\ncontent-length: 99\r\n\r\n{{".encode())
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_seconds=0.05" in answer


async def test_a_refusal_of_the_engine_names_its_limit(serve: Serve, http: httpx.AsyncClient) -> None:
    async with serve(limits=Limits(max_depth=1)) as server:
        response = await post(http, server, "{ wide(count: 1) { a } }", **NEW)
        assert response.status_code == 400
        assert "max_depth=1" in response.text


async def test_a_subscription_that_nobody_can_stream_names_the_transports(
    server: Server, http: httpx.AsyncClient
) -> None:
    response = await post(http, server, TICKS)
    assert response.status_code == 406
    message = response.json()["errors"][0]["message"]
    assert "graphql-transport-ws" in message
    assert "text/event-stream" in message


class Events:
    """Reads an event stream: (event, id, data) triples, and comments apart."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self._lines = response.aiter_lines()

    async def __anext__(self) -> tuple[str, str | None, Any]:
        fields: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(":")
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
            elif line:
                fields[name] = value.removeprefix(" ")
            elif "event" in fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"] or "null")
        raise StopAsyncIteration


@asynccontextmanager
async def stream(
    http: httpx.AsyncClient,
    server: Server,
    query: str = TICKS,
    headers: dict[str, str] | None = None,
    **variables: Any,
) -> AsyncIterator[Events]:
    body = {"query": query, "variables": variables}
    async with http.stream("POST", server.http, json=body, headers={**EVENTS, **(headers or {})}) as response:
        yield Events(response)


async def test_an_event_stream_has_the_frames_of_the_socket(server: Server, http: httpx.AsyncClient) -> None:
    async with stream(http, server) as events:
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["cache-control"] == "no-store"
        assert events.response.headers["x-accel-buffering"] == "no"
        frame = {"kind": "SNAPSHOT", "cursor": "0", "values": []}
        assert await anext(events) == ("next", "0", {"data": {"ticks": frame}})
        server.log.add(1, 2)
        assert (await anext(events))[:2] == ("next", "2")


async def test_last_event_id_resumes_unless_the_operation_says_where(
    server: Server, http: httpx.AsyncClient
) -> None:
    server.log.add(1, 2, 3)
    for variables, values in (({}, [2, 3]), ({"after": "2"}, [3])):
        async with stream(http, server, headers={"last-event-id": "1"}, **variables) as events:
            assert (await anext(events))[2]["data"]["ticks"]["values"] == values


async def test_an_event_source_connects_with_get(server: Server, http: httpx.AsyncClient) -> None:
    async with http.stream("GET", server.http, params={"query": TICKS}, headers=EVENTS) as response:
        assert (await anext(Events(response)))[2]["data"]["ticks"]["kind"] == "SNAPSHOT"


async def test_a_stream_that_ends_says_complete(server: Server, http: httpx.AsyncClient) -> None:
    async with stream(http, server, "subscription { count(upto: 1) }") as events:
        assert await anext(events) == ("next", None, {"data": {"count": 0}})
        assert await anext(events) == ("complete", None, None)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_a_query_can_be_an_event_too(server: Server, http: httpx.AsyncClient) -> None:
    async with stream(http, server, "{ hello }") as events:
        assert await anext(events) == ("next", None, {"data": {"hello": "hello world"}})
        assert (await anext(events))[0] == "complete"


async def test_an_operation_that_is_refused_while_streaming_says_so_in_its_last_event(
    server: Server, http: httpx.AsyncClient
) -> None:
    for query, code_ in (
        ("subscription { refused }", "INVALID_INPUT"),
        ("subscription { breaking }", "INTERNAL"),
    ):
        async with stream(http, server, query) as events:
            name, _, data = await anext(events)
            if "data" in data:
                name, _, data = await anext(events)
            assert (name, data["errors"][0]["extensions"]["code"]) == ("next", code_)
            assert (await anext(events))[0] == "complete"


async def test_a_wrong_document_is_refused_before_the_stream_begins(
    server: Server, http: httpx.AsyncClient
) -> None:
    response = await post(http, server, "subscription { nothing }", **EVENTS)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_silent_stream_is_kept_alive(serve: Serve, http: httpx.AsyncClient) -> None:
    async with (
        serve(TransportOptions(keep_alive_seconds=0.02)) as server,
        stream(http, server, TICKS) as events,
    ):
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await until(lambda: events.comments.count("keep-alive") >= 2)
        server.log.add(1)
        assert (await waiting)[1] == "1"


async def test_a_token_that_ends_is_the_streams_last_word(server: Server, http: httpx.AsyncClient) -> None:
    async with stream(http, server) as events:
        await anext(events)
        server.doorman.end("alice", "expired")
        _, _, data = await anext(events)
        assert data["errors"][0]["extensions"]["code"] == "TOKEN_EXPIRED"
        assert (await anext(events))[0] == "complete"
    assert server.doorman.watchers["alice"] == []


async def test_nothing_is_left_of_a_reader_that_leaves(server: Server, http: httpx.AsyncClient) -> None:
    async with stream(http, server) as events:
        await anext(events)
        assert server.endpoint.gate.connections == 1
    await until(lambda: not server.endpoint.gate.connections)
    assert server.operations.groups.members == 0
    assert server.doorman.watchers["alice"] == []


async def test_event_streams_count_like_sockets(serve: Serve, http: httpx.AsyncClient) -> None:
    async with serve(TransportOptions(max_connections_per_token=1)) as server, stream(http, server) as events:
        await anext(events)
        response = await post(http, server, TICKS, **EVENTS)
        assert (response.status_code, code(response)) == (429, "LIMIT_EXCEEDED")
        assert "max_connections_per_token=1" in response.text
        assert server.endpoint.gate.connections == 1
