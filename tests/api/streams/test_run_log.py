"""`runLog`: every reader gets every line once, however the parts arrive and whenever it joins."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from kici_gql.api.engine.faults import RequestRefused
from kici_gql.api.streams import run_log
from kici_gql.tables import JobStatus, RunStatus
from tests.running import Cluster, cluster, job_of, part_of, run_of
from tests.world import Clock, World

LOG = """subscription ($after: Int! = -1, $step: Int! = 0) { runLog(run: "r1", job: "j1", step: $step, afterLine: $after) {
  kind cursor previousCursor
  snapshot { lines { number text } gaps { fromLine toLine } totalLines }
  events { __typename ... on LogLines { lines { number text } gaps { fromLine toLine } } ... on LogEnd { totalLines } } } }"""


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holes are looked at every hundredth of a second; patience ends by the clock that tests turn, and not before."""
    monkeypatch.setattr(run_log, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(run_log, "_LOOKS", 1_000_000)


class Reader:
    """Reads to the end, or as far as it is asked to."""

    def __init__(self, frames: AsyncIterator[dict[str, Any]], pause: float = 0) -> None:
        self.frames = frames
        self.pause = pause
        self.lines: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.cursors: list[str] = []

    async def to_the_end(self) -> int:
        async with asyncio.timeout(60):
            while True:
                frame = await anext(self.frames)
                end = self.take(frame)
                if end is not None:
                    return end
                await asyncio.sleep(self.pause)

    async def until(self, line: int) -> None:
        async with asyncio.timeout(60):
            while not self.lines or self.lines[-1] < line:
                self.take(await anext(self.frames))

    def take(self, frame: dict[str, Any]) -> int | None:
        if self.cursors:
            assert frame["previousCursor"] == self.cursors[-1]
        self.cursors.append(frame["cursor"])
        parts = [frame["snapshot"]] if frame["snapshot"] else frame["events"]
        for part in parts:
            if part.get("__typename") == "LogEnd":
                return int(part["totalLines"])
            assert len(part["lines"]) <= 1000
            for line in part["lines"]:
                assert line["text"] == text(line["number"])
                self.lines.append(line["number"])
            self.gaps += [(gap["fromLine"], gap["toLine"]) for gap in part["gaps"]]
        return None


def text(number: int) -> str:
    return f"line {number}"


def lines(first: int, count: int) -> list[str]:
    return [text(number) for number in range(first, first + count)]


async def end(home: Cluster) -> None:
    await home.report(run_of(status=RunStatus.SUCCESS, jobs=[job_of(status=JobStatus.SUCCESS)]))


async def test_early_late_and_slow_readers_get_every_line_once(any_world: World) -> None:
    home = await cluster(any_world)
    await home.running()
    total = 5000
    async with aclosing(any_world.frames(LOG)) as early, aclosing(any_world.frames(LOG)) as slow:
        readers = [Reader(early), Reader(slow, pause=0.05)]
        ends = [asyncio.ensure_future(reader.to_the_end()) for reader in readers]
        for first in range(0, total, 250):
            await home.log(part_of(first, lines(first, 250)))
        await end(home)
        assert await asyncio.gather(*ends) == [total, total]
    async with aclosing(any_world.frames(LOG)) as frames:
        late = Reader(frames)
        assert await late.to_the_end() == total
        readers.append(late)
    for reader in readers:
        assert reader.lines == list(range(total))
        assert reader.gaps == []


async def test_a_live_reader_loses_no_line_when_parts_overtake_each_other(any_world: World) -> None:
    home, rng = await cluster(any_world), random.Random(1)
    await home.running()
    parts = [part_of(first, lines(first, 7)) for first in range(0, 700, 7)]
    order = sorted(range(len(parts)), key=lambda at: at + rng.uniform(0, 6))
    async with aclosing(any_world.frames(LOG)) as frames:
        reader = Reader(frames)
        done = asyncio.ensure_future(reader.to_the_end())
        for at in order:
            await home.log(parts[at], rng.choice(parts[: at + 1]))
        await end(home)
        assert await done == 700
    assert reader.lines == list(range(700))
    assert reader.gaps == []


async def test_a_reader_that_begins_at_a_hole_waits_for_it_too(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(10, lines(10, 10)))
    async with aclosing(world.frames(LOG)) as frames:
        reader = Reader(frames)
        reader.take(await anext(frames))
        assert (reader.lines, reader.gaps) == ([], [])
        await home.log(part_of(0, lines(0, 10)))
        await reader.until(19)
    assert (reader.lines, reader.gaps) == (list(range(20)), [])


async def test_a_hole_that_stays_is_told(world: World, clock: Clock) -> None:
    home = await cluster(world)
    await home.running()
    async with aclosing(world.frames(LOG)) as frames:
        reader = Reader(frames)
        await home.log(part_of(0, lines(0, 10)), part_of(15, lines(15, 5)))
        await reader.until(9)
        assert reader.gaps == []
        clock.advance(60)
        await reader.until(19)
        assert reader.gaps == [(10, 14)]
        await home.log(part_of(30, lines(30, 1)))
        clock.advance(60)
        await reader.until(30)
    assert reader.gaps == [(10, 14), (20, 29)]
    clock.advance(60)
    async with aclosing(world.frames(LOG)) as frames:  # what is long missing is told at once
        late = Reader(frames)
        await late.until(30)
        assert (late.lines, late.gaps) == (reader.lines, reader.gaps)


async def test_resuming_behind_a_line(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(0, lines(0, 1500)))
    await end(home)
    for after in (-1, 0, 499, 500, 1498, 1499, 5000):
        async with aclosing(world.frames(LOG, after=after)) as frames:
            reader = Reader(frames)
            assert await reader.to_the_end() == 1500
        assert reader.lines == list(range(after + 1, 1500))


async def test_lines_that_come_after_the_end_are_shown_and_ended_again(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await end(home)
    async with aclosing(world.frames(LOG)) as frames:
        reader = Reader(frames)
        assert await reader.to_the_end() == 0
        await home.log(part_of(0, lines(0, 3)))
        assert await reader.to_the_end() == 3
    assert reader.lines == [0, 1, 2]


async def test_steps_are_logs_of_their_own(world: World) -> None:
    home = await cluster(world)
    await home.running()
    await home.log(part_of(0, lines(0, 3), step=1))
    await end(home)
    for step, total in ((0, 0), (1, 3)):
        async with aclosing(world.frames(LOG, step=step)) as frames:
            assert await Reader(frames).to_the_end() == total


async def test_a_run_that_is_not_there(world: World) -> None:
    with pytest.raises(RequestRefused) as caught:
        await anext(world.frames(LOG))
    assert caught.value.errors[0]["extensions"]["code"] == "NOT_FOUND"
    home = await cluster(world)
    await home.running()
    with pytest.raises(RequestRefused):
        await anext(world.frames(LOG, by=world.viewer("VIEWER", "other")))


@pytest.mark.parametrize("place", ["", "x", "abc.1", "abc.-2.end", f"abc.{10**30}", "abc.1.end.end", "a\0.1"])
def test_forged_places(place: str) -> None:
    assert not run_log._Place.is_one(place)  # noqa: SLF001
