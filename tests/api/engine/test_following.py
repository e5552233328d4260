"""Sinks that keep up are written to by one task; one that does not, or leaves, harms nobody."""

import asyncio
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from kici_gql.api.engine.faults import StreamBroken
from kici_gql.api.engine.groups import Page
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.requests import GraphQLRequest
from tests.api.engine.toys import Log, Viewer

QUERY = "subscription ($after: String) { ticks(after: $after) { values executions } }"


class Basket:
    """A sink that takes as many pages as it has room for."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.values: list[int] = []
        self.from_pages = 0

    def ready(self) -> bool:
        return self.room > 0

    def take(self, page: Page, shared: dict[bytes, bytes]) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        shared.setdefault(b"x", page.payload)
        self.put(page)
        return True

    def put(self, page: Page) -> None:
        self.values += orjson.loads(page.payload)["data"]["ticks"]["values"]


async def follow(operations: Operations, basket: Basket) -> None:
    prepared = operations.prepare(GraphQLRequest(QUERY, variables={"after": "1"}))
    subscription = await operations.subscribe(prepared, Viewer("alice"))
    async with aclosing(subscription.pages(basket)) as pages:
        async for page in pages:
            basket.from_pages += 1
            basket.put(page)


async def grow(log: Log, *values: int) -> None:
    for value in values:
        await log.somebody_waits()
        log.add(value)


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0)


async def test_a_hundred_sinks_cost_one_execution_a_page_and_get_all_in_order(
    operations: Operations, log: Log
) -> None:
    log.add(0)
    baskets = [Basket() for _ in range(100)]
    tasks = [asyncio.create_task(follow(operations, basket)) for basket in baskets]
    await grow(log, *range(1, 11))
    await until(lambda: all(basket.values == list(range(1, 11)) for basket in baskets))
    assert log.executions == 10
    assert sum(basket.from_pages for basket in baskets) == 0
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert len(operations.groups) == 0
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1, "the task that led them is gone too"


async def test_a_sink_that_refuses_goes_on_by_cursor_and_comes_back(operations: Operations, log: Log) -> None:
    log.add(0)
    quick, slow = Basket(), Basket(room=2)
    tasks = [asyncio.create_task(follow(operations, basket)) for basket in (quick, slow)]
    await grow(log, 1, 2, 3, 4)
    await until(lambda: slow.values == [1, 2, 3, 4])
    assert slow.from_pages == 2
    slow.room = 100
    await grow(log, 5, 6, 7)
    await until(lambda: slow.values == [1, 2, 3, 4, 5, 6, 7] == quick.values)
    assert slow.from_pages == 3, "one more page by cursor, then it follows again"
    assert quick.from_pages == 0
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_one_that_leaves_takes_nobody_with_it(operations: Operations, log: Log) -> None:
    log.add(0)
    baskets = [Basket(), Basket(), Basket()]
    tasks = [asyncio.create_task(follow(operations, basket)) for basket in baskets]
    await grow(log, 1)
    await until(lambda: all(basket.values == [1] for basket in baskets))
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    await grow(log, 2)
    await until(lambda: all(basket.values == [1, 2] for basket in baskets[1:]))
    assert baskets[0].values == [1]
    for task in tasks[1:]:
        task.cancel()
    await asyncio.wait(tasks)


async def test_all_hear_when_the_stream_breaks(operations: Operations, log: Log) -> None:
    log.add(0)
    tasks = [asyncio.create_task(follow(operations, Basket())) for _ in range(3)]
    await grow(log, -13)  # the toy log fails behind this value
    for task in tasks:
        with pytest.raises(StreamBroken):
            await task
    assert len(operations.groups) == 0
