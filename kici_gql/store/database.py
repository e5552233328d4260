"""The database: where connections come from, and `Store.transaction`, the only place that commits."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kici_gql.errors import Unavailable
from kici_gql.events import Cursor, Entry
from kici_gql.settings import Settings
from kici_gql.store import log
from kici_gql.store.faults import about_values, in_a_line, is_away
from kici_gql.store.postgres import PostgresReaders, PostgresWriter, postgres_engine
from kici_gql.store.sqlite import SqliteReaders, SqliteWatch, SqliteWriter
from kici_gql.store.transaction import Job, Outcome, Tx

_log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

Clock = Callable[[], datetime]
Committed = Callable[[Sequence[Entry]], None]

# A batch ends when nobody waits any more or at these sizes: what waits behind it never waits for more than one batch.
# Patient jobs, such as introductions, come last and stop early (see `run_batch`): 200 of them at once took seconds, and
# every heartbeat waited behind them.
_BATCH_JOBS = 128
_BATCH_PATIENT = 16
_MAX_WAITING = 10_000  # of each kind

# Where many push at once, as the last batch told, a batch waits a little for those that are on their way: what it costs
# apart from its jobs is then shared by more of them. Who pushes alone never waits.
_CROWD = 5
_GATHER_SECONDS = 0.001


@dataclass(slots=True)
class Counts:
    """What this process has written since it started."""

    transactions: int = 0
    failed: int = 0
    commits: int = 0
    events: int = 0


class _Readers(Protocol):
    async def run(self, query: Callable[[Connection], T]) -> T: ...
    async def close(self) -> None: ...


class _Writer(Protocol):
    async def run(self, jobs: Sequence[Job], now: datetime) -> list[Outcome]: ...
    async def close(self) -> None: ...


class Store:
    """The only door to the database.

    `on_commit` is called on the event loop after each commit with the log entries it appended, oldest first.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.on_commit: Committed = lambda entries: None
        self._prompt: asyncio.Queue[Job] = asyncio.Queue(_MAX_WAITING)
        self._patient: asyncio.Queue[Job] = asyncio.Queue(_MAX_WAITING)
        self._filled = asyncio.Event()
        self._readers: _Readers
        self._writer: _Writer
        self._task: asyncio.Task[None] | None = None
        self._watch: SqliteWatch | None = None
        self._heads: dict[str, tuple[int, Cursor]] = {}
        self.counts = Counts()
        self.writes = True
        """Whether the newest batch could commit."""

    def now(self) -> datetime:
        """The server's time: the only clock that anything is judged by."""
        return self._clock()

    async def open(self) -> None:
        """Connect and start writing. The schema must be there already (`migrations.upgrade`)."""
        url = self._settings.database_url
        if self._settings.is_sqlite:
            self._readers = SqliteReaders(url)
            self._writer = SqliteWriter(url)
            self._watch = SqliteWatch(url)
        else:
            engine = postgres_engine(url)
            self._readers = PostgresReaders(engine)
            self._writer = PostgresWriter(engine)
        self._task = asyncio.create_task(self._write_forever(), name="store-writer")

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        if self._task is not None:
            await self._prompt.join()
            await self._patient.join()  # afterwards: prompt work may turn out to be patient
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            if self._watch is not None:
                self._watch.close()
            await self._writer.close()
            await self._readers.close()

    async def transaction(self, org_id: str | None, work: Callable[[Tx], T], *, patient: bool = False) -> T:
        """Run `work` in one transaction and answer after its commit.

        Transactions that arrive together share one commit; each stands or falls alone. `work` runs off the event
        loop, so all it does must be done through its `Tx`, and it runs on when the caller is cancelled.
        `patient` work lets everybody else's go first, except that some of it is done with each commit; work that finds
        out that it takes long becomes patient with `Tx.put_off`.
        Raises the KiciError that `work` raises, or Unavailable when the database can't do it.
        """
        self._require_open()
        job = Job(org_id, work, asyncio.get_running_loop().create_future(), patient)
        await (self._patient if patient else self._prompt).put(job)
        self._filled.set()
        result: T = await job.future
        return result

    async def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `query` in one read-only snapshot of the database.

        Raises InvalidInput for what it can't look for, Unavailable when it can't be reached.
        """
        self._require_open()
        try:
            return await self._readers.run(lambda connection: query(connection, *args, **kwargs))
        except (SQLAlchemyError, OSError) as error:
            if not is_away(error):
                raise about_values(error) from error
            _log.warning("the database can't be reached: %s", in_a_line(error))
            raise Unavailable("the database can't be reached", hint="Send the same request again.") from error

    async def head(self, org_id: str) -> Cursor:
        """Where the org's log ends now, in the database itself.

        On SQLite the database tells for nothing whether anybody has committed since it was last asked.
        """
        version = self._watch.version() if self._watch is not None else None
        known = self._heads.get(org_id)
        if known is not None and known[0] == version:
            return known[1]
        found = await self.read(log.head, org_id)
        if version is not None:  # it was asked before the read: a commit in between is found by the next one
            self._heads[org_id] = version, found
        return found

    def _require_open(self) -> None:
        if self._task is None:
            raise Unavailable("the server is stopping", hint="Send the same request again.")

    async def _write_forever(self) -> None:
        crowd, left = 0, list[Job]()
        while True:
            if not left:
                await self._filled.wait()
            if crowd >= _CROWD:
                await asyncio.sleep(_GATHER_SECONDS)
            jobs = [
                *_taken(self._prompt, _BATCH_JOBS),
                *left,
                *_taken(self._patient, _BATCH_PATIENT - len(left)),
            ]
            crowd = len(jobs)
            if self._prompt.empty() and self._patient.empty():
                self._filled.clear()
            done = jobs
            try:
                outcomes = await self._writer.run(jobs, self._clock())
                done = jobs[: len(outcomes)]
                self._settle(outcomes)
            except Exception as error:  # noqa: BLE001 - whatever it was, every caller must hear of it
                self.writes = False
                self.counts.failed += len(done)
                for job in done:
                    job.fail(error)
            finally:
                left = jobs[len(done) :]
                for job in done:
                    (self._patient if job.patient else self._prompt).task_done()

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        entries = [entry for outcome in outcomes for entry in outcome.entries]
        failed = sum(outcome.error is not None for outcome in outcomes)
        put_off = [outcome.job for outcome in outcomes if outcome.put_off]
        self.writes = True
        self.counts.commits += 1
        self.counts.failed += failed
        self.counts.transactions += len(outcomes) - failed - len(put_off)
        self.counts.events += sum(entry.seq - entry.first_seq + 1 for entry in entries)
        if entries:
            self.on_commit(entries)
        for outcome in outcomes:
            outcome.settle()
        for job in put_off:
            self._put_off(job)

    def _put_off(self, job: Job) -> None:
        patient = replace(job, patient=True)
        try:
            self._patient.put_nowait(patient)
        except asyncio.QueueFull:
            job.fail(Unavailable("too much is waiting to be written", hint="Send the same request again."))
        self._filled.set()


def _taken(queue: asyncio.Queue[Job], most: int) -> Iterator[Job]:
    """What waits, without waiting for more."""
    for _ in range(min(most, queue.qsize())):
        yield queue.get_nowait()
