"""Log lines against a dictionary: whatever was sent, in parts that repeat, overlap and overtake each other."""

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kici_gql.store import logs
from kici_gql.store.logs import Wanted
from tests.running import cluster, part_of
from tests.world import World

_number = count()
LENGTH = 30
PARTS = st.lists(st.tuples(st.integers(0, LENGTH - 1), st.integers(0, 12)), max_size=8)
WANTED = st.builds(
    Wanted,
    limit=st.integers(0, 12),
    max_chars=st.sampled_from([1, 12, 1000]),
    after=st.integers(-1, LENGTH),
    before=st.none() | st.integers(0, LENGTH + 9),
    backward=st.booleans(),
)


def text(number: int) -> str:
    return f"line {number}"


def holes(numbers: set[int], first: int, last: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in range(first, last + 1):
        if number in numbers:
            continue
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def expected(stored: set[int], wanted: Wanted) -> tuple[list[tuple[int, str]], list[tuple[int, int]], bool]:
    """What a page should be, by looking at every line."""
    total = max(stored, default=-1) + 1
    end = total if wanted.before is None else min(wanted.before, total)
    inside = [number for number in sorted(stored, reverse=wanted.backward) if wanted.after < number < end]
    chosen: list[int] = []
    room = wanted.max_chars
    for number in inside[: wanted.limit]:
        if chosen and len(text(number)) >= room:
            break
        room -= len(text(number)) + 1
        chosen.append(number)
    more = len(inside) > len(chosen)
    first, last = wanted.after + 1, end - 1
    if more and wanted.backward:
        first = min(chosen, default=end)
    elif more:
        last = max(chosen, default=wanted.after)
    return [(number, text(number)) for number in sorted(chosen)], holes(stored, first, last), more


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(parts=PARTS, pages=st.lists(WANTED, min_size=1, max_size=6))
async def test_lines_are_kept_once_and_read_in_pages(
    any_world: World, parts: list[tuple[int, int]], pages: list[Wanted]
) -> None:
    home = await cluster(any_world)
    run = f"r{next(_number)}"
    _, job = await home.running(run)
    stored: set[int] = set()
    for first, size in parts:
        numbers = range(first, min(LENGTH, first + size))
        done = await home.log(part_of(first, [text(number) for number in numbers], run=run))
        assert done.result["stored"] == len(set(numbers) - stored)
        stored |= set(numbers)
    for wanted in pages:
        found = await any_world.store.read(logs.read, job.id, 0, wanted)
        assert (found.lines, found.gaps, found.more) == expected(stored, wanted), (sorted(stored), wanted)
    assert await any_world.store.read(logs.total_lines, job.id, 0) == max(stored, default=-1) + 1
    walked = [
        line
        for page in [await _walk(any_world, job.id, backward) for backward in (False, True)]
        for line in page
    ]
    assert walked == [(number, text(number)) for number in sorted(stored)] * 2


async def _walk(world: World, job_id: str, backward: bool) -> list[tuple[int, str]]:
    """Page by page to the end. The pages and their gaps tell of every line exactly once."""
    lines: list[tuple[int, str]] = []
    told: list[int] = []
    edge: dict[str, Any] = {}
    more = True
    while more:
        found = await world.store.read(logs.read, job_id, 0, Wanted(7, 1000, backward=backward, **edge))
        lines = [*found.lines, *lines] if backward else [*lines, *found.lines]
        told += [number for number, _ in found.lines]
        told += [number for first, last in found.gaps for number in range(first, last + 1)]
        more = found.more
        if found.lines:
            edge = {"before": found.lines[0][0]} if backward else {"after": found.lines[-1][0]}
    total = await world.store.read(logs.total_lines, job_id, 0)
    assert sorted(told) == list(range(total))
    return lines
