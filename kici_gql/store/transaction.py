"""One batch of transactions: state, events with the org's next sequence numbers, one commit.

Commit order equals sequence order because the head of each org's log is locked before anything else: by SQLite's
only writer, or by PostgreSQL's row lock. A reader therefore never sees event n+1 before event n.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, select

from kici_gql.errors import Internal, KiciError, Unavailable
from kici_gql.events import Cursor, Encoded, Entry, Event, EventType, Topic, encode_events, iso
from kici_gql.store.faults import about_values, in_a_line, is_away
from kici_gql.store.prepared import Pending, Prepared, Row, prepared_insert, prepared_update, sqlite_driver
from kici_gql.tables import LogEntry, Org, table_of

_log = logging.getLogger(__name__)
_org = table_of(Org)

_MAX_REMEMBERED = 10_000  # orchestrators of one org

_PATIENT_SECONDS = 0.02
"""How long a batch goes on to begin patient jobs: whoever comes meanwhile waits for no more than that and one job."""


@dataclass(slots=True)
class Head:
    """The end of one org's log, as this batch sees it, and the newest event that changed the fleet."""

    epoch: str
    seq: int
    fleet_seq: int


class Memory:
    """What the writer knows of an org's orchestrators without reading them again.

    It holds as long as nobody changed the fleet behind its back, and whoever does so moves the org's `fleet_seq`. The
    head of the log is locked when it is compared, so this is as exact with many processes as with one.
    """

    def __init__(self) -> None:
        self._position: tuple[str, int] | None = None
        self._known: dict[str, tuple[frozenset[str], Any]] = {}
        self._fresh: dict[str, tuple[frozenset[str], Any]] = {}

    def recall(self, key: str) -> Any:
        """What was remembered under this key, or None."""
        known = self._known.get(key)
        return known[1] if known is not None else None

    def remember(self, key: str, value: object, about: frozenset[str]) -> None:
        """Keep a value until something happens to one of the orchestrators or clusters that it is about.

        It has to be true at the end of the transaction that is at hand, whatever that has changed before.
        """
        self._fresh[key] = about, value

    def clear(self) -> None:
        self._known.clear()
        self._fresh.clear()

    def at(self, head: Head) -> "Memory":
        """This memory, emptied unless it was true at that position."""
        if self._position != (head.epoch, head.fleet_seq) or len(self._known) > _MAX_REMEMBERED:
            self._known.clear()
            self._position = (head.epoch, head.fleet_seq)
        return self

    def follow(self, head: Head, disturbed: Collection[str]) -> None:
        """Go along with changes of our own, but without the members that they are about."""
        self._known = {key: known for key, known in self._known.items() if known[0].isdisjoint(disturbed)}
        self._position = (head.epoch, head.fleet_seq)

    def settle(self) -> None:
        """Take over what the transaction that has ended well has found out."""
        self._known |= self._fresh
        self._fresh.clear()


_BY_THEIR_OWN_ID = {EventType.CLUSTER_CHANGED, EventType.ORCHESTRATOR_CHANGED, EventType.ORCHESTRATOR_REMOVED}


def _member(event: Event) -> str:
    """The orchestrator that a change of the fleet is about; its cluster where the event names no orchestrator."""
    if event.type in _BY_THEIR_OWN_ID:
        return str(event.data["id"])
    return str(event.data.get("orchestrator_id") or event.data["cluster_id"])


class PutOff(Exception):
    """Work turned out to take long before it did anything; it wants to be begun again among the patient."""


class Tx:
    """What one piece of work may do: statements on `connection`, rows that can wait, and events appended to its org's log."""

    def __init__(
        self,
        batch: "_Batch",
        org_id: str | None,
        head: Head | None,
        now: datetime,
        memory: Memory,
        *,
        patient: bool = False,
    ) -> None:
        self.now = now
        self.memory = memory
        self.waiting = Pending()
        self.touched = False
        self.disturbed: set[str] = set()
        """Ids of orchestrators, and of clusters, of which no longer holds what any process remembers."""
        self._batch = batch
        self._patient = patient
        self._org_id = org_id
        self._head = head
        self._appended = 0
        self._runs: list[tuple[Topic, list[Event] | Encoded]] = []

    @property
    def connection(self) -> Connection:
        """The database, with all that was done before in it. What never asks for it is never held up by it."""
        connection = self._batch.connection
        if not self.touched:
            self.touched = True
            self._batch.waiting.flush(connection)
            _execute(connection, "SAVEPOINT job")
        self.waiting.flush(connection)
        return connection

    def put_off(self) -> None:
        """Go on only if those who are quick went first; until then nothing may have been done.

        Raises PutOff, which is not to be caught: the work is begun again as `patient` work.
        """
        if not self._patient:
            raise PutOff

    def flush(self) -> None:
        """Write what waits, under the savepoint of this transaction."""
        self.waiting.flush(self.connection)

    def later(self, prepared: Prepared, rows: Sequence[Row]) -> None:
        """Write these rows before anybody could read them, together with others."""
        self.waiting.add(prepared, rows)

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
        return self._head.seq + self._appended

    @property
    def cursor(self) -> Cursor:
        """The position that this transaction reaches."""
        seq = self.seq
        assert self._head is not None
        return Cursor(self._head.epoch, seq)

    def append(self, event: Event) -> int:
        """Add an event to the org's log; it becomes visible with the commit. Returns its sequence number."""
        topic = event.type.topic
        if topic is Topic.INFRASTRUCTURE:
            self.disturbed.add(_member(event))
        last = self._runs[-1] if self._runs else None
        if last is not None and last[0] is topic and isinstance(last[1], list):
            last[1].append(event)
        else:
            self._runs.append((topic, [event]))
        self._appended += 1
        return self.seq

    def append_encoded(self, topic: Topic, run: Encoded) -> None:
        """Add a run of events of one topic that is in its stored form already."""
        self._runs.append((topic, run))
        self._appended += run.count

    def entries(self) -> list[Entry]:
        """The appended events as log entries: one for each run of events with the same topic."""
        entries: list[Entry] = []
        if self._head is None:
            return entries
        seq, at = self._head.seq, iso(self.now)
        for topic, events in self._runs:
            run = events if isinstance(events, Encoded) else Encoded(len(events), encode_events(events))
            entries.append(Entry(self.org_id, seq + 1, seq + run.count, topic, at, run.body, run.told))
            seq += run.count
        return entries


@dataclass(slots=True)
class Job:
    """Work that waits for the writer, and who waits for the work."""

    org_id: str | None
    work: Callable[[Tx], Any]
    future: asyncio.Future[Any]
    patient: bool = False

    def fail(self, error: Exception) -> None:
        error = about_values(error)
        if isinstance(error, KiciError):
            self._set_exception(error)
            return
        if is_away(error):
            _log.warning("a transaction could not commit: %s", in_a_line(error))
            self._set_exception(
                Unavailable("the database could not commit", hint="Send the same request again.")
            )
            return
        _log.error("a transaction failed", exc_info=error)
        self._set_exception(
            Internal("the server failed to do this", hint="Report it, with what the server's log says.")
        )

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
    put_off: bool = False

    def settle(self) -> None:
        if self.put_off:
            return
        if self.error is not None:
            self.job.fail(self.error)
        elif not self.job.future.done():
            self.job.future.set_result(self.value)


def run_batch(
    connection: Connection, jobs: Sequence[Job], now: datetime, memories: defaultdict[str | None, Memory]
) -> list[Outcome]:
    """Run jobs in one database transaction, each in a savepoint of its own, and commit.

    The outcomes are those of the first jobs: patient ones at the end are left out when the batch has taken long.
    """
    try:
        return _run_batch(connection, jobs, now, memories)
    except BaseException:
        memories.clear()  # they followed the log to where it never came
        raise


def _run_batch(
    connection: Connection, jobs: Sequence[Job], now: datetime, memories: defaultdict[str | None, Memory]
) -> list[Outcome]:
    with connection.begin():
        heads = _lock_heads(connection, {job.org_id for job in jobs if job.org_id is not None})
        before = {org_id: (head.seq, head.fleet_seq) for org_id, head in heads.items()}
        batch = _Batch(connection, Pending())
        outcomes = [_run_one(batch, job, heads, now, memories[job.org_id]) for job in _in_time(jobs)]
        batch.waiting.flush(connection)
        _write_log(connection, [entry for outcome in outcomes for entry in outcome.entries], now)
        now_at = {org_id: (head.seq, head.fleet_seq) for org_id, head in heads.items()}
        moved = [(*where, org_id) for org_id, where in now_at.items() if where != before[org_id]]
        _MOVE_HEAD.run(connection, moved)
    return outcomes


_MOVE_HEAD = prepared_update(Org, "last_seq", "fleet_seq")


def _in_time(jobs: Iterable[Job]) -> Iterator[Job]:
    """All jobs that are not patient, at least one that is, and more of those while there is time."""
    until = time.monotonic() + _PATIENT_SECONDS
    begun = False
    for job in jobs:
        if job.patient and begun and time.monotonic() >= until:
            return
        begun = begun or job.patient
        yield job


@dataclass(slots=True)
class _Batch:
    connection: Connection
    waiting: Pending


def _run_one(batch: _Batch, job: Job, heads: dict[str, Head], now: datetime, memory: Memory) -> Outcome:
    head = heads.get(job.org_id) if job.org_id is not None else None
    known = memory.at(head) if head is not None else Memory()
    tx = Tx(batch, job.org_id, head, now, known, patient=job.patient)
    try:
        value = job.work(tx)
        entries = tx.entries()
        if tx.touched:
            tx.waiting.flush(batch.connection)
    except PutOff:
        assert not tx.touched, "it was to be done before anything else"
        return Outcome(job, put_off=True)
    except Exception as error:  # noqa: BLE001 - one bad push fails alone, whatever is wrong with it
        if tx.touched:
            _execute(batch.connection, "ROLLBACK TO SAVEPOINT job")
        memory.clear()
        return Outcome(job, error=error)
    finally:
        if tx.touched:
            _execute(batch.connection, "RELEASE SAVEPOINT job")
    batch.waiting.absorb(tx.waiting)
    if head is not None:
        head.seq = tx.seq
        if tx.disturbed:
            head.fleet_seq = max(
                head.seq, head.fleet_seq + 1
            )  # it moves even if no event tells of the change
            memory.follow(head, tx.disturbed)
        memory.settle()
    return Outcome(job, value, entries=entries)


def _execute(connection: Connection, sql: str) -> None:
    driver = sqlite_driver(connection)
    if driver is not None:
        driver.execute(sql)
    else:
        connection.exec_driver_sql(sql)


def _lock_heads(connection: Connection, org_ids: set[str]) -> dict[str, Head]:
    if not org_ids:
        return {}
    sql, values = _heads_sql(connection.dialect, len(org_ids)), tuple(sorted(org_ids))
    driver = sqlite_driver(connection)
    rows = driver.execute(sql, values) if driver is not None else connection.exec_driver_sql(sql, values)
    return {id_: Head(epoch, seq, fleet_seq) for id_, epoch, seq, fleet_seq in rows}


@lru_cache
def _heads_sql(dialect: Dialect, orgs: int) -> str:
    """Every batch begins with this, and making SQL of it costs as much as a heartbeat."""
    query = (
        select(_org.c.id, _org.c.log_epoch, _org.c.last_seq, _org.c.fleet_seq)
        .where(_org.c.id.in_([bindparam(f"id_{number}") for number in range(orgs)]))
        .order_by(_org.c.id)  # so that two processes that lock several orgs can't wait for each other
        .with_for_update()
    )
    return str(query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True}))


def _write_log(connection: Connection, entries: Sequence[Entry], now: datetime) -> None:
    _ADD_ENTRY.run(
        connection,
        [(entry.org_id, entry.seq, entry.first_seq, entry.topic.value, now, entry.body) for entry in entries],
    )


_ADD_ENTRY = prepared_insert(LogEntry)
