"""One batch of transactions: state, events with the org's next sequence numbers, one commit.

Commit order equals sequence order because the head of each org's log is locked before anything else: by SQLite's
only writer, or by PostgreSQL's row lock. A reader therefore never sees event n+1 before event n.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError

from kici_gql.errors import InvalidInput, KiciError, Unavailable
from kici_gql.events import Cursor, Entry, Event, encode_events, iso
from kici_gql.tables import LogEntry, Org, table_of

_log = logging.getLogger(__name__)
_org = table_of(Org)
_entry = table_of(LogEntry)


@dataclass(slots=True)
class Head:
    """The end of one org's log, as this batch sees it."""

    epoch: str
    seq: int


class Tx:
    """What one piece of work may do: statements on `connection`, and events appended to its org's log."""

    def __init__(self, connection: Connection, org_id: str | None, head: Head | None, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self._org_id = org_id
        self._head = head
        self._events: list[Event] = []

    @property
    def org_id(self) -> str:
        if self._org_id is None:
            raise RuntimeError("this transaction belongs to no org")
        return self._org_id

    @property
    def seq(self) -> int:
        """Sequence number of the newest event, those appended here included."""
        if self._head is None:
            raise RuntimeError("this transaction belongs to no org")
        return self._head.seq + len(self._events)

    @property
    def cursor(self) -> Cursor:
        """The position that this transaction reaches."""
        seq = self.seq
        assert self._head is not None
        return Cursor(self._head.epoch, seq)

    def append(self, event: Event) -> int:
        """Add an event to the org's log; it becomes visible with the commit. Returns its sequence number."""
        self._events.append(event)
        return self.seq

    def entries(self) -> list[Entry]:
        """The appended events as log entries: one for each run of events with the same topic."""
        entries: list[Entry] = []
        if self._head is None:
            return entries
        seq, at = self._head.seq, iso(self.now)
        for topic, run in groupby(self._events, key=lambda event: event.type.topic):
            events = list(run)
            entries.append(Entry(self.org_id, seq + 1, seq + len(events), topic, at, encode_events(events)))
            seq += len(events)
        return entries


def about_values(error: Exception) -> Exception:
    """InvalidInput in place of what PostgreSQL says to a value that it can't hold; any other error as it is."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    if not str(state).startswith("22"):
        return error
    return InvalidInput("a value can't be stored", hint="Send printable characters and numbers in range.")


@dataclass(slots=True)
class Job:
    """Work that waits for the writer, and who waits for the work."""

    org_id: str | None
    work: Callable[[Tx], Any]
    future: asyncio.Future[Any]

    def fail(self, error: Exception) -> None:
        error = about_values(error)
        if isinstance(error, KiciError):
            self._set_exception(error)
            return
        _log.error("a transaction failed", exc_info=error)
        self._set_exception(Unavailable("the database could not commit", hint="Send the same request again."))

    def _set_exception(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True)
class Outcome:
    """What became of one job. Nobody hears of it before the commit."""

    job: Job
    value: Any = None
    error: Exception | None = None
    entries: list[Entry] = field(default_factory=list)

    def settle(self) -> None:
        if self.error is not None:
            self.job.fail(self.error)
        elif not self.job.future.done():
            self.job.future.set_result(self.value)


def run_batch(connection: Connection, jobs: Sequence[Job], now: datetime) -> list[Outcome]:
    """Run all jobs in one database transaction, each in a savepoint of its own, and commit."""
    with connection.begin():
        heads = _lock_heads(connection, {job.org_id for job in jobs if job.org_id is not None})
        before = {org_id: head.seq for org_id, head in heads.items()}
        outcomes = [_run_one(connection, job, heads, now) for job in jobs]
        _write_log(connection, [entry for outcome in outcomes for entry in outcome.entries], now)
        moved = [{"_id": id_, "_seq": head.seq} for id_, head in heads.items() if head.seq != before[id_]]
        if moved:
            connection.execute(_MOVE_HEAD, moved)
    return outcomes


_MOVE_HEAD = update(_org).where(_org.c.id == bindparam("_id")).values(last_seq=bindparam("_seq"))


def _run_one(connection: Connection, job: Job, heads: dict[str, Head], now: datetime) -> Outcome:
    head = heads.get(job.org_id) if job.org_id is not None else None
    tx = Tx(connection, job.org_id, head, now)
    connection.exec_driver_sql("SAVEPOINT job")
    try:
        value = job.work(tx)
        entries = tx.entries()
    except Exception as error:  # noqa: BLE001 - one bad push fails alone, whatever is wrong with it
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT job")
        return Outcome(job, error=error)
    finally:
        connection.exec_driver_sql("RELEASE SAVEPOINT job")
    if head is not None:
        head.seq = tx.seq
    return Outcome(job, value, entries=entries)


def _lock_heads(connection: Connection, org_ids: set[str]) -> dict[str, Head]:
    if not org_ids:
        return {}
    # In order of id, so that two processes that lock several orgs can't wait for each other.
    query = (
        select(_org.c.id, _org.c.log_epoch, _org.c.last_seq)
        .where(_org.c.id.in_(sorted(org_ids)))
        .order_by(_org.c.id)
        .with_for_update()
    )
    return {row.id: Head(row.log_epoch, row.last_seq) for row in connection.execute(query)}


def _write_log(connection: Connection, entries: Sequence[Entry], now: datetime) -> None:
    if entries:
        connection.execute(
            insert(_entry),
            [
                {
                    "org_id": entry.org_id,
                    "seq": entry.seq,
                    "first_seq": entry.first_seq,
                    "topic": entry.topic.value,
                    "at": now,
                    "body": entry.body,
                }
                for entry in entries
            ],
        )
