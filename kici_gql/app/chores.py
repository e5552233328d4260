"""What the server does by itself: judging silence, removing what is old, noting which tokens are in use."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from kici_gql.actions import commands, departures, presence, workflows
from kici_gql.auth import Authenticator
from kici_gql.errors import Unavailable
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, alerts, audit, fleet, log, logs, orgs, questions, runs
from kici_gql.store import commands as command_store
from kici_gql.store import workflows as workflow_store

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""Silence is judged this often at least: a newcomer's silence may be due sooner than anybody's before."""
LOOK_SECONDS = 0.75
"""Revoked tokens are looked for this often: a revocation ends its streams within a second, whatever became of the bell."""
HOUSEKEEPING_SECONDS = 60.0
ABSENCE = timedelta(seconds=10)
"""A look that comes so late says that nobody could be heard: this machine slept, or its database was away."""
RETURN = timedelta(hours=1)
"""Who was there before this server was away has so long to come back before it is removed for having been gone."""
_CHUNK = 2000  # rows removed by one transaction: it must not hold up a heartbeat
_CHUNK_OF_RUNS = 200  # each with its jobs and steps


class Chores:
    """Background tasks of one process. Each survives its own failures and says so in the log."""

    def __init__(self, store: Store, settings: Settings, authenticator: Authenticator) -> None:
        self._store = store
        self._settings = settings
        self._authenticator = authenticator
        self._serving_since = self._looked_at = store.now()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(_forever(self._sweep), name="sweep"),
            asyncio.create_task(_forever(self._look), name="revocations"),
            asyncio.create_task(_forever(self._housekeep), name="housekeeping"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sweep(self) -> float:
        now = self._store.now()
        due = await self._store.read(_look_for_due, now)
        if now - self._looked_at > ABSENCE:
            _log.warning("back after %s; silence counts from now on", now - self._looked_at)
            self._serving_since = now
        silence_due_at = due.silence_due_at
        if due.silence:
            silence_due_at = await presence.sweep(self._store, self._settings, now, self._serving_since)
        if due.commands:
            await commands.expire(self._store, now)
        if due.schedules:
            await workflows.roll_schedules(self._store, now)
        self._looked_at = self._store.now()
        if silence_due_at is None:
            return SWEEP_SECONDS
        return min(SWEEP_SECONDS, _seconds_until(silence_due_at, self._store.now()))

    async def _look(self) -> float:
        await self._authenticator.look()
        return LOOK_SECONDS

    async def _housekeep(self) -> float:
        for org_id, used in _by_org(self._authenticator.take_used()).items():
            await self._store.transaction(org_id, partial(_note_use, used=used))
        for org in await self._store.read(orgs.all_orgs):
            await self._remove(org.id, partial(_trim, settings=self._settings))
            if self._store.now() - self._serving_since >= RETURN:
                await self._remove(org.id, partial(_forget_orchestrator, settings=self._settings), 1)
            await self._remove(org.id, partial(_trim_logs, settings=self._settings))
            await self._remove(org.id, partial(_trim_runs, settings=self._settings), _CHUNK_OF_RUNS)
            await self._remove(org.id, partial(_trim_commands, settings=self._settings))
        await self._remove(None, partial(_forget, settings=self._settings))
        await self._store.transaction(None, _forget_questions)
        return HOUSEKEEPING_SECONDS

    async def _remove(self, org_id: str | None, trim: Callable[[Tx], int], portion: int = _CHUNK) -> None:
        """Remove portion by portion, until there are no more."""
        while await self._store.transaction(org_id, trim, patient=True) >= portion:
            pass


class _Due(NamedTuple):
    """What there is to do by itself, and when somebody's silence has to be judged next."""

    silence: bool
    commands: bool
    schedules: bool
    silence_due_at: datetime | None


def _look_for_due(connection: Connection, now: datetime) -> _Due:
    """Mostly there is nothing, and this look at all of it is all that a second costs."""
    silence_due_at = fleet.next_due(connection)
    silent = silence_due_at is not None and silence_due_at <= now
    return _Due(
        silent or bool(alerts.run_out(connection, now, 1)),
        bool(command_store.orgs_due(connection, now)),
        bool(workflow_store.orgs_overdue(connection, now)),
        silence_due_at,
    )


async def _forever(chore: Callable[[], Awaitable[float]]) -> None:
    """Do the chore again and again; it answers how many seconds to wait."""
    while True:
        try:
            seconds = await chore()
        except Unavailable as error:  # an outage is no fault of ours, and would be a stack trace a second
            _log.warning("a chore failed; trying again: %s", error.message)
            seconds = SWEEP_SECONDS
        except Exception:  # noqa: BLE001 - whatever else it was, the next try may be better
            _log.exception("a chore failed; trying again")
            seconds = SWEEP_SECONDS
        await asyncio.sleep(max(0.02, seconds))


def _trim(tx: Tx, settings: Settings) -> int:
    older_than = tx.now - timedelta(hours=settings.log_retention_hours)
    return log.trim(tx.connection, tx.org_id, older_than, settings.log_retention_events, _CHUNK)


def _forget_orchestrator(tx: Tx, settings: Settings) -> int:
    """One at a time, for each may have thousands of agents. What the log still tells of it is left to be read."""
    kept = max(
        timedelta(days=settings.orchestrator_retention_days), timedelta(hours=settings.log_retention_hours)
    )
    before = tx.now - kept
    gone = fleet.away_since(tx.connection, tx.org_id, before, 1)
    for orchestrator in gone:
        departures.forget(tx, orchestrator)
    return len(gone)


def _trim_logs(tx: Tx, settings: Settings) -> int:
    older_than = tx.now - timedelta(days=settings.run_log_retention_days)
    return logs.trim(tx.connection, tx.org_id, older_than, _CHUNK)


def _trim_runs(tx: Tx, settings: Settings) -> int:
    ended_before = tx.now - timedelta(days=settings.run_retention_days)
    return runs.trim(tx.connection, tx.org_id, ended_before, _CHUNK_OF_RUNS)


def _trim_commands(tx: Tx, settings: Settings) -> int:
    ended_before = tx.now - timedelta(days=settings.run_retention_days)
    return command_store.trim(tx.connection, tx.org_id, ended_before, _CHUNK)


def _forget(tx: Tx, settings: Settings) -> int:
    return audit.forget(
        tx.connection,
        keys_before=tx.now - timedelta(hours=settings.idempotency_hours),
        audit_before=tx.now - timedelta(days=settings.audit_retention_days),
        limit=_CHUNK,
    )


def _forget_questions(tx: Tx) -> None:
    questions.forget(tx.connection, tx.now - timedelta(seconds=HOUSEKEEPING_SECONDS))


def _note_use(tx: Tx, used: dict[str, datetime]) -> None:
    for token_id, moment in used.items():
        orgs.touch_token(tx.connection, tx.org_id, token_id, moment)


def _by_org(used: dict[str, tuple[str, datetime]]) -> dict[str, dict[str, datetime]]:
    found: dict[str, dict[str, datetime]] = {}
    for token_id, (org_id, moment) in used.items():
        found.setdefault(org_id, {})[token_id] = moment
    return found


def _seconds_until(due: datetime, now: datetime) -> float:
    return max(0.0, (due - now).total_seconds())
