import asyncio
import gc
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import orjson
import pytest

from kici_gql.api.engine.faults import StreamBroken
from kici_gql.api.engine.groups import Groups, Page, RecentPages
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.requests import GraphQLRequest
from tests.api.engine.toys import Context, Log, Viewer, schema

ALICE, BOB, EVE = Viewer("alice"), Viewer("bob"), Viewer("eve", "little")
QUERY = "subscription ($after: String, $modulo: Int = 1) { ticks(after: $after, modulo: $modulo) { values executions } }"


async def subscribed(
    operations: Operations, viewer: Viewer = ALICE, query: str = QUERY, **variables: Any
) -> AsyncGenerator[Page, None]:
    prepared = operations.prepare(GraphQLRequest(query, variables=variables))
    return (await operations.subscribe(prepared, viewer)).pages()


@asynccontextmanager
async def reading(
    operations: Operations, viewer: Viewer = ALICE, query: str = QUERY, **variables: Any
) -> AsyncIterator[AsyncGenerator[Page, None]]:
    async with aclosing(await subscribed(operations, viewer, query, **variables)) as pages:
        yield pages


def tick(page: Page) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(page.payload)["data"]["ticks"]
    return answer


async def all_next(readers: list[AsyncGenerator[Page, None]]) -> list[Page]:
    return list(await asyncio.gather(*(anext(reader) for reader in readers)))


async def test_a_hundred_readers_at_one_cursor_cost_one_execution(operations: Operations, log: Log) -> None:
    log.add(0)
    readers = [await subscribed(operations, after="1") for _ in range(100)]
    waiting = asyncio.gather(*(anext(reader) for reader in readers))
    await log.somebody_waits()
    log.add(1)
    pages = await waiting
    assert log.executions == 1
    assert all(page is pages[0] for page in pages)
    assert operations.groups.counts.pages_rendered == 1
    assert operations.groups.counts.pages_delivered == 100
    assert len(operations.groups) == 1
    assert operations.groups.members == 100
    for reader in readers:
        await reader.aclose()
    assert len(operations.groups) == 0


async def test_a_reader_slightly_behind_gets_the_page_that_the_others_had(
    operations: Operations, log: Log
) -> None:
    log.add(0)
    async with reading(operations, after="1") as quick, reading(operations, after="1") as slow:
        waiting = asyncio.ensure_future(anext(quick))
        await log.somebody_waits()
        log.add(1)
        first = await waiting
        assert await anext(slow) is first
        assert log.executions == 1


async def test_a_reader_far_behind_gets_all_of_it_in_one_page(operations: Operations, log: Log) -> None:
    operations.groups.recent = RecentPages(0)
    log.add(*range(50))
    async with reading(operations, after="0") as reader:
        assert tick(await anext(reader))["values"] == list(range(50))


async def test_readers_who_resume_at_different_cursors_meet_at_the_live_edge(
    operations: Operations, log: Log
) -> None:
    log.add(0, 1, 2)
    async with (
        reading(operations, after="1") as a,
        reading(operations, after="2") as b,
        reading(operations) as c,
    ):
        assert [tick(page)["values"] for page in await all_next([a, b, c])] == [[1, 2], [2], [0, 1, 2]]
        waiting = asyncio.gather(anext(a), anext(b), anext(c))
        await log.somebody_waits()
        log.executions = 0
        log.add(3)
        assert {page.payload for page in await waiting} == {
            b'{"data":{"ticks":{"values":[3],"executions":1}}}'
        }


async def test_newcomers_share_the_next_snapshot_but_never_one_that_began_before_them(
    operations: Operations, log: Log
) -> None:
    readers = [await subscribed(operations) for _ in range(5)]
    together = asyncio.gather(*(anext(reader) for reader in readers))
    assert {tick(page)["executions"] for page in await together} == {1}
    assert {tick(page)["values"] == [] for page in await together} == {True}
    log.add(8)
    async with reading(operations) as late:
        assert tick(await anext(late))["values"] == [8]
    for reader in readers:
        await reader.aclose()


async def test_other_rights_other_filters_and_other_selections_share_nothing(operations: Operations) -> None:
    async with (
        reading(operations) as a,
        reading(operations, BOB) as b,
        reading(operations, EVE) as c,
        reading(operations, modulo=2) as d,
        reading(operations, query=QUERY.replace("values executions", "executions values")) as e,
    ):
        pages = await all_next([a, b, c, d, e])
        assert pages[0] is pages[1]
        assert len({id(page) for page in pages}) == 4
        assert len(operations.groups) == 4


async def test_variables_that_change_the_selection_part_readers(operations: Operations) -> None:
    query = "subscription ($x: Boolean!) { ticks { values executions @skip(if: $x) } }"
    async with reading(operations, query=query, x=True) as a, reading(operations, query=query, x=False) as b:
        first, second = await all_next([a, b])
        assert "executions" not in tick(first)
        assert "executions" in tick(second)


async def test_a_reader_that_is_cancelled_takes_nobody_with_it(operations: Operations, log: Log) -> None:
    log.add(0)
    tasks = [asyncio.create_task(_first(operations, after="1")) for _ in range(3)]
    await log.somebody_waits()
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    log.add(1)
    for task in tasks[1:]:
        assert tick(await task)["values"] == [1]
    assert len(operations.groups) == 0


async def _first(operations: Operations, **variables: Any) -> Page:
    async with reading(operations, **variables) as reader:
        return await anext(reader)


async def test_the_last_reader_that_leaves_ends_the_wait(operations: Operations, log: Log) -> None:
    log.add(0)
    before = asyncio.all_tasks()
    task = asyncio.create_task(_first(operations, after="1"))
    await log.somebody_waits()
    task.cancel()
    await asyncio.wait([task])
    assert len(operations.groups) == 0
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_newcomer_does_not_join_a_wait_that_is_being_cancelled(
    operations: Operations, log: Log
) -> None:
    log.add(0)
    async with reading(operations, after="0") as other:
        await anext(other)  # keeps the group alive while its waits come and go
        task = asyncio.create_task(_first(operations, after="1"))
        await log.somebody_waits()
        task.cancel()
        log.waiting = 0
        newcomer = asyncio.create_task(_first(operations, after="1"))
        await log.somebody_waits()
        log.add(1)
        assert tick(await newcomer)["values"] == [1]


async def test_a_view_that_fails_breaks_the_streams_that_wait_there_with_a_masked_error(
    operations: Operations, log: Log
) -> None:
    log.add(-13)
    readers = [await subscribed(operations, after="1") for _ in range(3)]
    outcomes = await asyncio.gather(*(anext(reader) for reader in readers), return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, StreamBroken)
        assert outcome.errors[0]["message"] == "Internal error"
    assert len({id(outcome) for outcome in outcomes}) == 3
    log.add(1)
    async with reading(operations, after="1") as again:
        assert tick(await anext(again))["values"] == [1]


async def test_an_error_in_a_field_is_part_of_the_frame(operations: Operations) -> None:
    async with reading(operations, query="subscription { ticks { cursor broken } }") as reader:
        answer = orjson.loads((await anext(reader)).payload)
    assert answer["data"] == {"ticks": {"cursor": "0", "broken": None}}
    assert answer["errors"][0]["message"] == "Internal error"
    assert answer["errors"][0]["path"] == ["ticks", "broken"]


async def test_a_bookmark_that_does_not_move_is_waited_for_again(operations: Operations, log: Log) -> None:
    log.bookmark_seconds = 0.005
    query = "subscription { ticks { kind cursor } }"
    async with reading(operations, query=query) as reader:
        await anext(reader)
        for _ in range(3):
            assert tick(await anext(reader)) == {"kind": "BOOKMARK", "cursor": "0"}
    assert operations.groups.counts.pages_rendered == 4


async def test_a_frame_is_run_with_a_viewer_that_is_still_there() -> None:
    log, seen = Log(), list[str]()

    def context(viewer: Viewer, request_id: str) -> Context:
        seen.append(viewer.token_id)
        return Context(viewer, request_id, log)

    operations = Operations(schema, context)
    founder = await subscribed(operations, ALICE)
    await anext(founder)
    async with reading(operations, BOB) as reader:
        await anext(reader)
        await founder.aclose()
        seen.clear()
        waiting = asyncio.ensure_future(anext(reader))
        await log.somebody_waits()
        log.add(1)
        await waiting
    assert seen == ["bob"]


async def test_a_frame_in_the_making_may_outlive_the_last_member(operations: Operations, log: Log) -> None:
    reader = await subscribed(operations)
    await anext(reader)
    [group] = operations.groups._groups.values()  # noqa: SLF001 - who is still waiting holds it too
    cursor = str(len(log.values))
    await reader.aclose()
    log.add(1)
    page = await group.next(cursor)
    assert tick(page)["values"] == [1], "by the rights of whoever was there first"


def test_recent_pages_are_bounded_in_bytes() -> None:
    recent = RecentPages(100)
    for number in range(20):
        recent.add("g", str(number), Page(b"x" * 30, str(number + 1)))
    assert (len(recent), recent.bytes) == (3, 90)
    assert recent.get("g", "19") is not None
    assert recent.get("g", "0") is None
    recent.add("g", "huge", Page(b"x" * 101, "z"))
    assert (len(recent), recent.bytes) == (0, 0)


def test_a_group_that_is_gone_leaves_no_pages() -> None:
    recent = RecentPages(1000)
    one, other = object(), object()
    recent.add(one, "1", Page(b"x", "2"))
    recent.add(other, "1", Page(b"yy", "2"))
    recent.forget(one)
    assert (recent.get(one, "1"), recent.bytes) == (None, 2)


@pytest.mark.parametrize("events", [5000])
async def test_memory_stays_flat_through_a_long_stream(operations: Operations, log: Log, events: int) -> None:
    operations.groups.recent = RecentPages(0)
    query = "subscription { ticks { kind cursor previousCursor pairs { a b } loaded } }"

    async def read(count: int) -> None:
        for _ in range(count):
            log.values.append(1)
            await anext(reader)

    async with reading(operations, query=query) as reader:
        await anext(reader)
        await read(500)
        gc.collect()
        tracemalloc.start()
        await read(events)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 300_000  # graphql-core's leak alone would be 15 MB


def test_groups_can_be_given_a_smaller_memory() -> None:
    assert Groups(recent_bytes=10).recent.bytes == 0
