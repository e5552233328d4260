import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from kici_gql.api.engine.faults import RequestRefused, StreamBroken
from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.errors import Forbidden
from tests.api.engine.toys import Context, Log, Viewer, schema

ALICE = Viewer("alice")


async def run(
    operations: Operations, query: str, _operation: str | None = None, **variables: Any
) -> dict[str, Any]:
    result = await operations.run(
        operations.prepare(GraphQLRequest(query, _operation, variables)), ALICE, "r1"
    )
    answer: dict[str, Any] = orjson.loads(result.body)
    return answer


async def listen(operations: Operations, query: str, count: int, **variables: Any) -> list[dict[str, Any]]:
    subscription = await operations.subscribe(
        operations.prepare(GraphQLRequest(query, None, variables)), ALICE
    )
    heard: list[dict[str, Any]] = []
    async with aclosing(subscription.pages()) as pages:
        async for page in pages:
            heard.append(orjson.loads(page.payload))
            if len(heard) == count:
                break
    return heard


async def test_a_query_answers_data_and_nothing_else(operations: Operations) -> None:
    query = "query Q($name: String!) { hello(name: $name) who } query Other { hello }"
    assert await run(operations, query, "Q", name="x") == {"data": {"hello": "hello x", "who": "alice"}}


async def test_a_mutation_runs_without_a_time_limit(
    limited: Callable[[Limits], Operations], log: Log
) -> None:
    operations = limited(Limits(query_seconds=0.01))
    assert await run(operations, "mutation { addSlowly(value: 7, seconds: 0.03) }") == {
        "data": {"addSlowly": 1}
    }
    assert log.values == [7]


async def test_a_query_that_takes_too_long_is_stopped(limited: Callable[[Limits], Operations]) -> None:
    answer = await run(limited(Limits(query_seconds=0.01)), "{ slow(seconds: 60) }")
    assert answer["data"] is None
    assert "query_seconds=0.01" in answer["errors"][0]["message"]
    assert answer["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_an_answer_with_too_many_values_is_one_error(limited: Callable[[Limits], Operations]) -> None:
    answer = await run(limited(Limits(max_values=150)), "{ wide(count: 100) { a b } }")
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["LIMIT_EXCEEDED"]
    assert "max_values=150" in answer["errors"][0]["message"]


async def test_known_errors_keep_code_hint_and_path(operations: Operations) -> None:
    error = (await run(operations, "{ known }"))["errors"][0]
    assert error["message"] == "name is too long"
    assert error["path"] == ["known"]
    assert error["extensions"] == {
        "code": "INVALID_INPUT",
        "retryable": False,
        "hint": "at most 63 characters",
        "inputPath": ["name"],
    }


async def test_unexpected_errors_are_masked_and_logged_once(
    operations: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await run(operations, "{ a: secret b: secret hello }")
    assert answer["data"] == {"a": None, "b": None, "hello": "hello world"}
    for error in answer["errors"]:
        assert error["message"] == "Internal error"
        assert error["extensions"] == {"code": "INTERNAL", "requestId": "r1", "retryable": True}
    assert "password" not in str(answer)
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(records) == 1
    assert "r1" in records[0].getMessage()
    assert records[0].exc_info is not None
    assert isinstance(records[0].exc_info[1], ValueError)


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        ("{ misfit }", "Internal error", "INTERNAL"),
        ("{ deliberate }", "on purpose", "PURPOSE"),
        ("query ($n: Int) { optional(n: $n) }", "Argument 'n'", "INVALID_INPUT"),
    ],
)
async def test_errors_of_graphql_itself_are_shown_where_they_are_about_the_request(
    operations: Operations, query: str, message: str, code: str
) -> None:
    answer = await run(operations, query, n=None)
    assert answer["errors"][0]["message"].startswith(message)
    assert answer["errors"][0]["extensions"]["code"] == code
    assert "password" not in str(answer)


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({}, "Expected a value of non-null type 'Int!' to be provided"),
        ({"value": "seven"}, "Int cannot represent non-integer value"),
        ({"value": 2**31}, "non 32-bit signed integer"),
    ],
)
async def test_variables_that_do_not_fit_are_refused(
    operations: Operations, variables: dict[str, Any], text: str
) -> None:
    with pytest.raises(RequestRefused, match=text) as caught:
        await run(operations, "mutation M($value: Int!) { add(value: $value) }", **variables)
    assert caught.value.errors[0]["extensions"]["code"] == "INVALID_INPUT"


async def test_a_context_that_refuses_is_an_answer(log: Log) -> None:
    def refuse(viewer: Viewer, request_id: str) -> object:
        raise Forbidden("not with this token")

    with pytest.raises(RequestRefused) as caught:
        await run(Operations(schema, refuse), "{ hello }")
    assert caught.value.errors[0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_resolver_that_refuses_a_subscription_refuses_the_operation(operations: Operations) -> None:
    with pytest.raises(RequestRefused, match="no such cluster") as caught:
        await listen(operations, "subscription { refused }", 1)
    assert caught.value.errors[0]["extensions"]["code"] == "INVALID_INPUT"


async def test_a_subscription_without_a_field_is_refused(operations: Operations) -> None:
    for query in ("subscription { }", "subscription { ... @skip(if: true) { count(upto: 1) } }"):
        with pytest.raises(RequestRefused) as caught:
            await listen(operations, query, 1)
        assert caught.value.errors[0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_stream_opens_with_a_snapshot_and_chains_its_cursors(
    operations: Operations, log: Log
) -> None:
    log.add(1, 2)
    listening = asyncio.create_task(
        listen(operations, "subscription { ticks { kind cursor previousCursor values } }", 3)
    )
    await log.somebody_waits()
    log.add(3)
    await log.somebody_waits()
    log.add(4, 5)
    frames = [answer["data"]["ticks"] for answer in await listening]
    assert [frame["kind"] for frame in frames] == ["SNAPSHOT", "EVENTS", "EVENTS"]
    assert [frame["values"] for frame in frames] == [[1, 2], [3], [4, 5]]
    assert [frame["previousCursor"] for frame in frames] == [None, "2", "3"]


async def test_a_good_cursor_goes_on_behind_it_and_a_bad_one_starts_anew(
    operations: Operations, log: Log
) -> None:
    log.add(1, 2, 3)
    query = "subscription ($after: String) { ticks(after: $after) { kind values } }"
    assert await listen(operations, query, 1, after="2") == [
        {"data": {"ticks": {"kind": "EVENTS", "values": [3]}}}
    ]
    (resync,) = await listen(operations, query, 1, after="99")
    assert resync["data"]["ticks"] == {"kind": "RESYNC", "values": [1, 2, 3]}


async def test_a_resume_cursor_of_the_transport_counts_where_the_operation_has_none(
    operations: Operations, log: Log
) -> None:
    log.add(1, 2, 3)
    for query, values in (
        ("subscription { ticks { values } }", [2, 3]),
        ('subscription { ticks(after: "2") { values } }', [3]),
    ):
        request = GraphQLRequest(query, resume="1")
        subscription = await operations.subscribe(operations.prepare(request), ALICE)
        async with aclosing(subscription.pages()) as pages:
            assert orjson.loads((await anext(pages)).payload) == {"data": {"ticks": {"values": values}}}


async def test_a_generator_is_a_stream_of_its_own_that_ends(operations: Operations) -> None:
    assert await listen(operations, "subscription { count(upto: 3) }", 9) == [
        {"data": {"count": n}} for n in range(3)
    ]


async def test_a_generator_that_fails_breaks_its_stream_without_telling_why(operations: Operations) -> None:
    with pytest.raises(StreamBroken) as caught:
        await listen(operations, "subscription { breaking }", 9)
    assert caught.value.errors[0]["message"] == "Internal error"


async def test_stock_strawberry_can_run_the_same_subscription(log: Log, operations: Operations) -> None:
    log.add(1)
    context = Context(ALICE, "r1", log)
    stream = await schema.subscribe("subscription { ticks { kind values } }", context_value=context)
    async with aclosing(stream) as results:
        assert (await anext(results)).data == {"ticks": {"kind": "SNAPSHOT", "values": [1]}}
        log.add(2)
        assert (await anext(results)).data == {"ticks": {"kind": "EVENTS", "values": [2]}}


async def test_each_frame_gets_a_context_of_its_own(log: Log, operations: Operations) -> None:
    log.add(1)
    query = "subscription ($after: String) { ticks(after: $after) { loaded } }"
    listening = asyncio.create_task(listen(operations, query, 2))
    await log.somebody_waits()
    log.add(2)
    assert [answer["data"]["ticks"]["loaded"] for answer in await listening] == [1, 2]
