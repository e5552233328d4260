"""SQLite: one writer in a thread of its own, several readers, and a watch that tells whether anything has changed."""

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import aiosqlite
import orjson
from sqlalchemy import Connection, Dialect, Engine, NullPool, create_engine, event
from sqlalchemy.dialects.sqlite import DATETIME
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel.sql.sqltypes import UTCDateTime

from kici_gql.store.records import dumps
from kici_gql.store.transaction import Job, Memory, Outcome, run_batch

_log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

# Pages that SQLite keeps in memory, per connection. Whatever a reader no longer holds comes from the kernel's cache, so
# a small one costs little, and there are several; the writer's holds what reports write again and again.
_WRITER_CACHE_KIB = 32 * 1024
_READER_CACHE_KIB = 16 * 1024
_KEEPER_CACHE_KIB = 64
_READERS = 8

CHECKPOINT_SECONDS = 2.0
"""How long a commit may be in the log alone. It is there for good unless the power fails."""
_MOST_FRAMES = 8000  # pages in the log, of 4 KiB each


class SqliteWriter:
    """SQLite has one writer. A whole batch is one hop off the event loop."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url, begin="BEGIN IMMEDIATE", cache_kib=_WRITER_CACHE_KIB)
        self._thread: _Thread | None = None
        self._memories: defaultdict[str | None, Memory] = defaultdict(Memory)
        self._checkpoints = _Checkpoints(url)

    async def run(self, jobs: Sequence[Job], now: datetime) -> list[Outcome]:
        if self._thread is None:
            self._thread = await _Thread.start(self._engine)
        outcomes = await self._thread.run(run_batch, jobs, now, self._memories)
        self._checkpoints.note()
        return outcomes

    async def close(self) -> None:
        await self._checkpoints.close()
        if self._thread is not None:
            await self._thread.end()


class _Checkpoints:
    """Brings what was committed from the log into the database, beside the writer.

    SQLite would do it within some commit, and whoever waits for that commit waits for the disk. While somebody reads,
    it would even do so within each.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url, begin="BEGIN", cache_kib=_KEEPER_CACHE_KIB)
        self._wanted = self._closed = False
        self._due: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._thread: _Thread | None = None

    def note(self) -> None:
        """Something was committed."""
        self._wanted = True
        if self._due is None and self._running is None:
            self._due = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._begin)

    async def close(self) -> None:
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        if self._running is not None:
            await self._running
        if self._thread is not None:
            await self._thread.end()

    def _begin(self) -> None:
        self._due, self._wanted = None, False
        self._running = asyncio.create_task(self._run(), name="sqlite-checkpoint")

    async def _run(self) -> None:
        try:
            if self._thread is None:
                self._thread = await _Thread.start(self._engine)
            await self._thread.run(_checkpoint)
        except (DBAPIError, sqlite3.Error) as error:
            _log.warning("what was committed stays in the log for now: %s", error)
        finally:
            self._running = None
            if self._wanted and not self._closed:
                self.note()


def _checkpoint(connection: Connection) -> None:
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    [(_, frames, _)] = driver.execute("PRAGMA wal_checkpoint(PASSIVE)")
    if frames > _MOST_FRAMES:
        # Nearly nothing is left to be copied. The writer waits, and then begins at the front of the file again.
        driver.execute("PRAGMA busy_timeout=50")
        driver.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


class SqliteReaders:
    """Up to eight readers, opened when they are needed. The one that was used last, whose cache is warmest, goes first."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url, begin="BEGIN", cache_kib=_READER_CACHE_KIB, query_only=True)
        self._free = asyncio.Semaphore(_READERS)
        self._idle: list[_Thread] = []
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run it in a snapshot. Whoever stops waiting stops the query too."""
        async with self._free:
            while not self._idle:
                await self._open()
            thread = self._idle.pop()
            try:
                return await thread.run(_in_snapshot, query)
            except asyncio.CancelledError:
                thread.interrupt()
                raise
            finally:
                self._idle.append(thread)

    async def close(self) -> None:
        for _ in range(_READERS):
            await self._free.acquire()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for thread in self._idle:
            await thread.end()

    async def _open(self) -> None:
        """Open one more. It is opened to the end even if nobody waits: a thread left half-way answers to a closed loop."""
        opening = asyncio.create_task(self._add())
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        await asyncio.shield(opening)

    async def _add(self) -> None:
        self._idle.append(await _Thread.start(self._engine))


def _in_snapshot(connection: Connection, query: Callable[[Connection], T]) -> T:
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    if driver.in_transaction:
        driver.rollback()  # the commit of the last one was interrupted
    with connection.begin():
        return query(connection)


class _Thread:
    """One connection, and the thread that aiosqlite keeps for it.

    Work is one hop to that thread and back, however many statements it has. SQLAlchemy's own adapter hops for each call
    of the driver, a dozen times a statement, and the threads fight for the interpreter at each.
    """

    _connection: Connection
    _driver: aiosqlite.Connection

    @classmethod
    async def start(cls, engine: Engine) -> "_Thread":
        thread = cls()

        def connect() -> sqlite3.Connection:
            thread._connection = engine.connect()
            return cast(sqlite3.Connection, thread._connection.connection.driver_connection)

        driver = aiosqlite.Connection(connect, iter_chunk_size=1)
        driver._thread.daemon = True  # noqa: SLF001 - a process that dies must not wait for it
        thread._driver = await driver
        return thread

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        # There is no public way to do more than one statement in a hop.
        in_thread: Callable[..., Awaitable[T]] = self._driver._execute  # noqa: SLF001
        return await in_thread(work, self._connection, *args, **kwargs)

    def interrupt(self) -> None:
        """Stop the statement that is being executed, if any."""
        cast(sqlite3.Connection, self._connection.connection.driver_connection).interrupt()

    async def end(self) -> None:
        await self.run(Connection.close)
        await self._driver.close()


class SqliteWatch:
    """Tells commits of all other connections apart: `PRAGMA data_version` looks at shared memory and waits for nobody."""

    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(str(make_url(url).database), check_same_thread=False)

    def version(self) -> int:
        """Another number whenever the database has changed since this was last asked."""
        [(version,)] = self._connection.execute("PRAGMA data_version")
        return int(version)

    def close(self) -> None:
        self._connection.close()


def _engine(url: str, *, begin: str, cache_kib: int, query_only: bool = False) -> Engine:
    """Connections with WAL, foreign keys, and a BEGIN of our own: the driver's legacy one comes too late for a snapshot."""
    engine = create_engine(
        make_url(url).set(drivername="sqlite+pysqlite"),
        json_serializer=dumps,
        json_deserializer=orjson.loads,
        poolclass=NullPool,  # who opens one keeps it
        hide_parameters=True,
    )
    engine.dialect.colspecs = {**engine.dialect.colspecs, UTCDateTime: _Moment}

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
            "wal_autocheckpoint=0",  # see `_Checkpoints`
            "temp_store=MEMORY",
            f"query_only={int(query_only)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@lru_cache(8192)
def _printed(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@lru_cache(8192)
def _parsed(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text is not None else None


class _Moment(DATETIME):
    """Times as text in UTC, as SQLModel's own type keeps them.

    The rows of a page share few different times, and whatever is worked out of one is worked out once: text to time
    and time to text was a third of the work of reading a large fleet.
    """

    def bind_processor(self, dialect: Dialect) -> Any:
        return _printed

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _parsed
