"""The database: where connections come from, and `Store.transaction`, the only place that commits."""

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import orjson
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kici_gql.errors import Unavailable
from kici_gql.events import Cursor, Entry
from kici_gql.settings import Settings
from kici_gql.store import log
from kici_gql.store.transaction import Job, Memory, Outcome, Tx, about_values, run_batch

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
_GATHER_SECONDS = 0.004

# Pages that SQLite keeps in memory, per connection. Whatever a reader no longer holds comes from the kernel's cache, so
# a small one costs little, and there are several; the writer's holds what reports write again and again.
_WRITER_CACHE_KIB = 32 * 1024
_READER_CACHE_KIB = 16 * 1024
_READERS = 8


@dataclass(slots=True)
class Counts:
    """What this process has written since it started."""

    transactions: int = 0
    failed: int = 0
    commits: int = 0
    events: int = 0


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
        self._readers: AsyncEngine
        self._writer: _Writer
        self._task: asyncio.Task[None] | None = None
        self._watch: _SqliteWatch | None = None
        self._heads: dict[str, tuple[int, Cursor]] = {}
        self.counts = Counts()

    def now(self) -> datetime:
        """The server's time: the only clock that anything is judged by."""
        return self._clock()

    async def open(self) -> None:
        """Connect and start writing. The schema must be there already (`migrations.upgrade`)."""
        url = self._settings.database_url
        if self._settings.is_sqlite:
            self._readers = _sqlite_readers(url)
            self._writer = _SqliteWriter(url)
            self._watch = _SqliteWatch(url)
        else:
            engine = create_async_engine(
                url,
                json_serializer=_dumps,
                json_deserializer=orjson.loads,
                pool_pre_ping=True,
                hide_parameters=True,
            )
            self._readers = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writer = _PostgresWriter(engine)
        self._task = asyncio.create_task(self._write_forever(), name="store-writer")

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        if self._task is not None:
            await asyncio.gather(self._prompt.join(), self._patient.join())
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            if self._watch is not None:
                self._watch.close()
            await self._writer.close()
            await self._readers.dispose()

    async def transaction(self, org_id: str | None, work: Callable[[Tx], T], *, patient: bool = False) -> T:
        """Run `work` in one transaction and answer after its commit.

        Transactions that arrive together share one commit; each stands or falls alone. `work` runs off the event
        loop, so all it does must be done through its `Tx`, and it runs on when the caller is cancelled.
        `patient` work lets everybody else's go first, except that some of it is done with each commit.
        Raises the KiciError that `work` raises, or Unavailable when the database can't do it.
        """
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
        try:
            async with self._readers.connect() as connection, connection.begin():
                return await connection.run_sync(query, *args, **kwargs)
        except (DBAPIError, OSError) as error:
            if isinstance(error, DBAPIError) and not error.connection_invalidated:
                raise about_values(error) from error
            _log.warning("the database can't be reached: %s", type(error).__name__)
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
                for job in done:
                    job.fail(error)
            finally:
                left = jobs[len(done) :]
                for job in done:
                    (self._patient if job.patient else self._prompt).task_done()

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        entries = [entry for outcome in outcomes for entry in outcome.entries]
        failed = sum(outcome.error is not None for outcome in outcomes)
        self.counts.commits += 1
        self.counts.failed += failed
        self.counts.transactions += len(outcomes) - failed
        self.counts.events += sum(entry.seq - entry.first_seq + 1 for entry in entries)
        if entries:
            self.on_commit(entries)
        for outcome in outcomes:
            outcome.settle()


def _taken(queue: asyncio.Queue[Job], most: int) -> Iterator[Job]:
    """What waits, without waiting for more."""
    for _ in range(min(most, queue.qsize())):
        yield queue.get_nowait()


class _SqliteWriter:
    """SQLite has one writer: one connection in one thread, so a whole batch costs one hop off the event loop."""

    def __init__(self, url: str) -> None:
        sync_url = make_url(url).set(drivername="sqlite+pysqlite")
        self._engine = create_engine(
            sync_url, json_serializer=_dumps, json_deserializer=orjson.loads, hide_parameters=True
        )
        _prepare_sqlite(self._engine, begin="BEGIN IMMEDIATE", cache_kib=_WRITER_CACHE_KIB)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._memories: defaultdict[str | None, Memory] = defaultdict(Memory)

    async def run(self, jobs: Sequence[Job], now: datetime) -> list[Outcome]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, jobs, now)

    def _run(self, jobs: Sequence[Job], now: datetime) -> list[Outcome]:
        with self._engine.connect() as connection:
            return run_batch(connection, jobs, now, self._memories)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()


class _SqliteWatch:
    """Tells commits of all other connections apart: `PRAGMA data_version` looks at shared memory and waits for nobody."""

    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(str(make_url(url).database), check_same_thread=False)

    def version(self) -> int:
        """Another number whenever the database has changed since this was last asked."""
        [(version,)] = self._connection.execute("PRAGMA data_version")
        return int(version)

    def close(self) -> None:
        self._connection.close()


class _PostgresWriter:
    """PostgreSQL through asyncpg. The batch locks the heads of its orgs' logs, so commit order is sequence order."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._memories: defaultdict[str | None, Memory] = defaultdict(Memory)

    async def run(self, jobs: Sequence[Job], now: datetime) -> list[Outcome]:
        async with self._engine.connect() as connection:
            return await connection.run_sync(run_batch, jobs, now, self._memories)

    async def close(self) -> None:
        """The engine is disposed of with the readers, who share its pool."""


def _sqlite_readers(url: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        pool_size=_READERS,
        pool_use_lifo=True,  # the connection whose cache is warmest; those for the worst moments stay small
        max_overflow=0,  # whatever goes over is opened and closed each time: a thread and a connection for one query
        hide_parameters=True,
    )
    _prepare_sqlite(engine.sync_engine, begin="BEGIN", cache_kib=_READER_CACHE_KIB, query_only=True)
    return engine


def _prepare_sqlite(engine: Engine, *, begin: str, cache_kib: int, query_only: bool = False) -> None:
    """WAL, foreign keys, and a BEGIN of our own: the driver's legacy one comes too late for a read snapshot."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=5000",
            f"cache_size=-{cache_kib}",
            "wal_autocheckpoint=8000",
            "temp_store=MEMORY",
            f"query_only={int(query_only)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
