"""Log lines, in chunks that never overlap."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from kici_gql.store.records import fetch_all
from kici_gql.tables import LogChunk, table_of

_chunk = table_of(LogChunk)


def overlapping(
    connection: Connection, job_id: str, step: int, first: int, last: int
) -> Sequence[tuple[int, int]]:
    """Ranges of lines that are stored already and touch `first` to `last`, in order."""
    query = (
        select(_chunk.c.first_line, _chunk.c.last_line)
        .where(
            _chunk.c.job_id == job_id,
            _chunk.c.step == step,
            _chunk.c.first_line <= last,
            _chunk.c.last_line >= first,
        )
        .order_by(_chunk.c.first_line)
    )
    return [(row.first_line, row.last_line) for row in connection.execute(query)]


def chunks_after(connection: Connection, job_id: str, step: int, line: int, limit: int) -> Sequence[LogChunk]:
    """Chunks with lines behind `line`, in order, at most `limit`."""
    before = (
        select(func.max(_chunk.c.first_line))
        .where(_chunk.c.job_id == job_id, _chunk.c.step == step, _chunk.c.first_line <= line + 1)
        .scalar_subquery()
    )
    query = (
        select(_chunk)
        .where(
            _chunk.c.job_id == job_id,
            _chunk.c.step == step,
            _chunk.c.first_line >= func.coalesce(before, 0),
            _chunk.c.last_line > line,
        )
        .order_by(_chunk.c.first_line)
        .limit(limit)
    )
    return fetch_all(connection, query, LogChunk)


def chunks_before(
    connection: Connection, job_id: str, step: int, line: int, limit: int
) -> Sequence[LogChunk]:
    """Chunks with lines before `line`, the last one first, at most `limit`."""
    query = (
        select(_chunk)
        .where(_chunk.c.job_id == job_id, _chunk.c.step == step, _chunk.c.first_line < line)
        .order_by(_chunk.c.first_line.desc())
        .limit(limit)
    )
    return fetch_all(connection, query, LogChunk)


def steps_with_logs(connection: Connection, job_id: str) -> list[int]:
    query = select(_chunk.c.step).where(_chunk.c.job_id == job_id).distinct().order_by(_chunk.c.step)
    return [row.step for row in connection.execute(query)]


def total_lines(connection: Connection, job_id: str, step: int) -> int:
    """Number behind the last stored line: how many there are when none is missing."""
    query = select(func.max(_chunk.c.last_line)).where(_chunk.c.job_id == job_id, _chunk.c.step == step)
    last = connection.execute(query).scalar_one()
    return 0 if last is None else last + 1


def trim(connection: Connection, org_id: str, older_than: datetime, limit: int) -> int:
    """Remove at most `limit` chunks that are too old. Returns how many went."""
    query = select(_chunk.c.job_id, _chunk.c.step, _chunk.c.first_line).where(
        _chunk.c.org_id == org_id, _chunk.c.at < older_than
    )
    doomed = connection.execute(query.order_by(_chunk.c.at).limit(limit)).all()
    for row in doomed:
        connection.execute(
            delete(_chunk).where(
                _chunk.c.job_id == row.job_id,
                _chunk.c.step == row.step,
                _chunk.c.first_line == row.first_line,
            )
        )
    return len(doomed)
