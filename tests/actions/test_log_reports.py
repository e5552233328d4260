"""Log lines as orchestrators send them: what is stored, what is refused, what is kept how long."""

from datetime import timedelta
from typing import Any

import pytest

from kici_gql.errors import InvalidInput, LimitExceeded, NotFound
from kici_gql.settings import Settings
from kici_gql.store import Tx, logs
from kici_gql.tables import LogChunk, Run
from tests.running import cluster, part_of
from tests.world import Clock, World, world_of

PAGE = """query ($last: Int, $before: Int, $after: Int! = -1, $first: Int) { org { run(id: "r1") { jobs {
  stepsWithLogs log(last: $last, before: $before, after: $after, first: $first) {
    lines { number text } gaps { fromLine toLine } totalLines hasMore } } } } }"""


def numbers(first: int, count: int) -> list[str]:
    return [str(number) for number in range(first, first + count)]


async def test_repeats_are_harmless(any_world: World) -> None:
    home = await cluster(any_world)
    await home.running()
    part = part_of(0, numbers(0, 10))
    assert (await home.log(part, part)).result["stored"] == 10
    head = await any_world.head()
    assert (await home.log(part)).result["stored"] == 0
    assert await any_world.head() == head
    assert (await home.log(part_of(5, numbers(5, 10)), part_of(0, []))).result["stored"] == 5


async def test_the_first_word_counts_when_two_differ(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(0, ["one"]), part_of(0, ["uno", "due"]))
    answer = await world.data(PAGE)
    [job] = answer["org"]["run"]["jobs"]
    assert [line["text"] for line in job["log"]["lines"]] == ["one", "due"]


async def test_a_long_part_becomes_several_chunks(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(0, numbers(0, 1201)), part_of(0, ["other step"], step=3))
    found = [(row.first_line, row.last_line) for row in await world.rows(LogChunk, step=0)]
    assert found == [(0, 499), (500, 999), (1000, 1200)]
    answer = await world.data(PAGE)
    assert answer["org"]["run"]["jobs"][0]["stepsWithLogs"] == [0, 3]


async def test_what_finds_no_room_shows_as_a_hole(sqlite_url: str, clock: Clock) -> None:
    settings = Settings(database_url=sqlite_url, max_run_log_bytes=1024)
    async with world_of(settings, clock) as world:
        home = await cluster(world)
        await home.running()
        done = await home.log(part_of(0, ["x" * 99] * 11))
        assert (done.result["stored"], done.result["dropped"]) == (10, 1)
        done = await home.log(part_of(11, ["y" * 99] * 5), part_of(20, ["z" * 23]))
        assert (done.result["stored"], done.result["dropped"]) == (1, 5)
        [run] = await world.rows(Run)
        assert run.log_bytes == 1024
        answer = await world.data(PAGE)
        log = answer["org"]["run"]["jobs"][0]["log"]
        assert log["gaps"] == [{"fromLine": 10, "toLine": 19}]
        assert (log["totalLines"], log["hasMore"]) == (21, False)
        assert (await home.log(part_of(10, ["", ""]))).result["dropped"] == 2, "an empty line takes room too"


@pytest.mark.parametrize("line", ["x" * (10 * 1024 * 1024), "x" * 65_537])
async def test_a_line_may_not_be_endless(world: World, line: str) -> None:
    home = await cluster(world)
    await home.running()
    with pytest.raises(LimitExceeded) as caught:
        await home.log(part_of(0, ["fine", line]))
    assert ".".join(caught.value.path or ()) == "parts.0.lines.1"
    assert len(caught.value.message) < 200
    assert await world.rows(LogChunk) == []
    assert (await home.log(part_of(0, ["x" * 65_536, "\0 \x1b[31m\n \U0001f680"]))).result["stored"] == 2


async def test_bounds(world: World) -> None:
    home = await cluster(world)
    await home.running()
    for part in (part_of(-1, ["x"]), part_of(0, ["x"], step=-2), part_of(2**31 - 1, ["x"])):
        with pytest.raises(InvalidInput):
            await home.log(part)
    with pytest.raises(LimitExceeded):
        await home.log(part_of(0, ["x"] * 10_001))
    with pytest.raises(LimitExceeded):
        await home.log(*[part_of(0, ["x"])] * 101)
    await home.log(part_of(0, ["before the first step"], step=-1))


async def test_logs_of_another_clusters_run_are_refused_whole(any_world: World) -> None:
    home, other = await cluster(any_world), await cluster(any_world, "test")
    await home.running("r1")
    await other.running("r2")
    for part in (
        part_of(0, ["x"]),
        part_of(0, ["x"], run="r2", job="nobody"),
        part_of(0, ["x"], run="nobody"),
    ):
        with pytest.raises(NotFound) as caught:
            await other.log(part_of(0, ["mine"], run="r2"), part)
        assert caught.value.path == ("parts", "1")
    assert await any_world.rows(LogChunk) == []


async def test_old_lines_go_and_make_room(any_world: World, clock: Clock) -> None:
    home = await cluster(any_world)
    await home.running()
    await home.log(part_of(0, numbers(0, 1000)))
    clock.advance(3600)
    await home.log(part_of(1000, ["new"]))
    older_than = clock() - timedelta(minutes=30)

    def trim(tx: Tx) -> int:
        return logs.trim(tx.connection, tx.org_id, older_than, 1)

    assert [await any_world.store.transaction(any_world.org_id, trim) for _ in range(3)] == [1, 1, 0]
    [run] = await any_world.rows(Run)
    assert run.log_bytes == len("new") + 1
    answer = await any_world.data(PAGE)
    log = answer["org"]["run"]["jobs"][0]["log"]
    assert log["gaps"] == [{"fromLine": 0, "toLine": 999}]
    assert log["lines"] == [{"number": 1000, "text": "new"}]


async def test_pages_over_the_api(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(0, numbers(0, 10)), part_of(20, numbers(20, 10)))

    async def page(**variables: Any) -> tuple[list[int], list[tuple[int, int]], bool]:
        answer = await world.data(PAGE, **variables)
        log = answer["org"]["run"]["jobs"][0]["log"]
        assert log["totalLines"] == 30
        gaps = [(gap["fromLine"], gap["toLine"]) for gap in log["gaps"]]
        return [line["number"] for line in log["lines"]], gaps, log["hasMore"]

    assert await page(first=10) == (list(range(10)), [], True)
    assert await page(first=5, after=7) == ([8, 9, 20, 21, 22], [(10, 19)], True)
    assert await page(first=50, after=25) == ([26, 27, 28, 29], [], False)
    assert await page(last=10) == (list(range(20, 30)), [], True)
    assert await page(last=3, before=20) == ([7, 8, 9], [(10, 19)], True)
    assert await page(last=50, before=5) == ([0, 1, 2, 3, 4], [], False)
    assert await page(last=3, before=15, after=8) == ([9], [(10, 14)], False)
    wrongs: list[dict[str, Any]] = [{"first": 1, "last": 1}, {"first": 1001}, {"last": -1}]
    for wrong in wrongs:
        assert (await world.run(PAGE, **wrong))["errors"]


async def test_a_page_of_long_lines_ends_early(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(0, ["x" * 60_000] * 40))
    seen, after = [], -1
    more = True
    while more:
        answer = await world.data(PAGE, first=1000, after=after)
        log = answer["org"]["run"]["jobs"][0]["log"]
        assert 1 <= len(log["lines"]) <= 17
        seen += [line["number"] for line in log["lines"]]
        after, more = seen[-1], log["hasMore"]
    assert seen == list(range(40))
