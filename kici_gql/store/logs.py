"""Log lines, in chunks that never overlap.

Chunks are found by their first line and read when their lines are wanted, so a page costs the same anywhere in a log of
any length.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, case, delete, func, select, update

from kici_gql.tables import LogChunk, Run, table_of

_chunk = table_of(LogChunk)
_run = table_of(Run)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: behind `after` and before `before`, from that end on where reading begins.

    At most `limit` lines and about `max_chars` characters, but one line at least. With `until_hole` only up to a hole,
    unless the hole is where it begins.
    """

    limit: int
    max_chars: int
    after: int = -1
    before: int | None = None
    backward: bool = False
    until_hole: bool = False


@dataclass(slots=True)
class Stretch:
    """Lines of a log in order, each with its number, and the holes between and before them, first to last line.

    `more`: there are more lines in the direction that was read; when there are not, the holes behind the last one are
    told too. `hole_told_at`: when the lines behind a hole at the very beginning were stored; None: no such hole.
    """

    lines: list[tuple[int, str]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    more: bool = False
    hole_told_at: datetime | None = None


def overlapping(
    connection: Connection, job_id: str, step: int, first: int, last: int
) -> Sequence[tuple[int, int]]:
    """Ranges of lines that are stored already and touch `first` to `last`, in order."""
    query = _headers(job_id, step, first - 1, last + 1).order_by(_chunk.c.first_line)
    return [(row.first_line, row.last_line) for row in connection.execute(query)]


def read(connection: Connection, job_id: str, step: int, wanted: Wanted) -> Stretch:
    """The lines that are wanted, as far as they are there."""
    total = total_lines(connection, job_id, step)
    end = total if wanted.before is None else min(wanted.before, total)
    expected, way = (end - 1, -1) if wanted.backward else (wanted.after + 1, 1)
    by = _chunk.c.first_line.desc() if wanted.backward else _chunk.c.first_line
    headers = connection.execute(
        _headers(job_id, step, wanted.after, end).order_by(by).limit(wanted.limit + 1)
    ).all()
    found, room = Stretch(), wanted.max_chars
    for number, text in _lines(connection, job_id, step, headers, wanted):
        if not wanted.after < number < end:
            continue
        full = len(found.lines) == wanted.limit or (found.lines and len(text) >= room)
        if full or (number != expected and found.lines and wanted.until_hole):
            found.more = True
            break
        if number != expected:
            found.gaps.append(_gap(expected, number - way))
        found.lines.append((number, text))
        room -= len(text) + 1
        expected = number + way
    last = (wanted.after + 1) if wanted.backward else end - 1
    if headers:
        found.more = found.more or not _reached(headers[-1], expected, wanted)
        if found.gaps and found.gaps[0][0] == wanted.after + 1:
            found.hole_told_at = headers[0].at
    if not found.more and (last - expected) * way >= 0:
        found.gaps.append(_gap(expected, last))
    if wanted.backward:
        found.lines.reverse()
        found.gaps.reverse()
    return found


def _reached(header: Row[Any], expected: int, wanted: Wanted) -> bool:
    """Whether reading went on to this chunk, the last one there is in its direction."""
    return bool(expected <= header.last_line if wanted.backward else expected > header.first_line)


def _gap(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _headers(job_id: str, step: int, after: int, before: int) -> Select[Any]:
    """Chunks with lines behind `after` and before `before`, without the lines. Goes straight to the first of them."""
    nearest = (
        select(func.max(_chunk.c.first_line))
        .where(_chunk.c.job_id == job_id, _chunk.c.step == step, _chunk.c.first_line <= after + 1)
        .scalar_subquery()
    )
    return select(_chunk.c.first_line, _chunk.c.last_line, _chunk.c.bytes, _chunk.c.at).where(
        _chunk.c.job_id == job_id,
        _chunk.c.step == step,
        _chunk.c.first_line >= func.coalesce(nearest, 0),
        _chunk.c.last_line > after,
        _chunk.c.first_line < before,
    )


def _lines(
    connection: Connection, job_id: str, step: int, headers: Sequence[Any], wanted: Wanted
) -> Iterator[tuple[int, str]]:
    """Lines of as many of these chunks as are needed, in the direction of reading."""
    chosen: list[int] = []
    lines = chars = 0
    for row in headers:
        if lines > wanted.limit or chars > wanted.max_chars:
            break
        # The first chunk may count for one line only: reading may begin at its end.
        lines += row.last_line - row.first_line + 1 if chosen else 1
        chars += row.bytes if chosen else 0
        chosen.append(row.first_line)
    query = select(_chunk.c.first_line, _chunk.c.body).where(
        _chunk.c.job_id == job_id, _chunk.c.step == step, _chunk.c.first_line.in_(chosen)
    )
    bodies = {row.first_line: row.body for row in connection.execute(query)}
    for first in chosen:
        numbered = list(enumerate(orjson.loads(bodies[first]), first))
        yield from reversed(numbered) if wanted.backward else numbered


def steps_with_logs(connection: Connection, job_id: str) -> list[int]:
    query = select(_chunk.c.step).where(_chunk.c.job_id == job_id).distinct().order_by(_chunk.c.step)
    return [row.step for row in connection.execute(query)]


def total_lines(connection: Connection, job_id: str, step: int) -> int:
    """Number behind the last stored line: how many there are when none is missing."""
    query = select(_chunk.c.last_line).where(_chunk.c.job_id == job_id, _chunk.c.step == step)
    last = connection.execute(query.order_by(_chunk.c.first_line.desc()).limit(1)).scalar_one_or_none()
    return 0 if last is None else last + 1


def stored_lines(connection: Connection, job_id: str, step: int) -> int:
    """How many lines are stored, holes not counted."""
    lines = func.sum(_chunk.c.last_line - _chunk.c.first_line + 1)
    query = select(lines).where(_chunk.c.job_id == job_id, _chunk.c.step == step)
    return int(connection.execute(query).scalar_one() or 0)


def forget(connection: Connection, job_id: str, step: int) -> int:
    """Remove a step's log. Returns how many bytes that were."""
    mine = (_chunk.c.job_id == job_id, _chunk.c.step == step)
    size = connection.execute(select(func.sum(_chunk.c.bytes)).where(*mine)).scalar_one()
    connection.execute(delete(_chunk).where(*mine))
    return int(size or 0)


def trim(connection: Connection, org_id: str, older_than: datetime, limit: int) -> int:
    """Remove at most `limit` chunks that are too old. Returns how many went."""
    query = select(_chunk.c.job_id, _chunk.c.step, _chunk.c.first_line, _chunk.c.run_id, _chunk.c.bytes)
    doomed = connection.execute(
        query.where(_chunk.c.org_id == org_id, _chunk.c.at < older_than).order_by(_chunk.c.at).limit(limit)
    ).all()
    freed: Counter[str] = Counter()
    for row in doomed:
        freed[row.run_id] += row.bytes
        connection.execute(
            delete(_chunk).where(
                _chunk.c.job_id == row.job_id,
                _chunk.c.step == row.step,
                _chunk.c.first_line == row.first_line,
            )
        )
    for run_id, size in freed.items():
        left = case((_run.c.log_bytes > size, _run.c.log_bytes - size), else_=0)
        connection.execute(update(_run).where(_run.c.id == run_id).values(log_bytes=left))
    return len(doomed)
