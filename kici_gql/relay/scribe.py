"""Carries out what a session learned, by the same actions that mutations call."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from kici_gql.actions import departures, logs, naming, orchestrators, runs, settings_reports, workflows
from kici_gql.actions.inventory import host_columns
from kici_gql.actions.perform import Action, Call, Result, perform
from kici_gql.actions.presence import Changes
from kici_gql.auth import Viewer
from kici_gql.errors import KiciError, NotFound
from kici_gql.relay import shapes
from kici_gql.relay.asker import policy
from kici_gql.relay.messages.diagnostics import UNKNOWN, Inventory
from kici_gql.relay.messages.telemetry import Lines
from kici_gql.relay.pages import apart, numbered, turns
from kici_gql.relay.session.effects import (
    Amend,
    Backends,
    Beat,
    DeadLetters,
    Effect,
    Introduce,
    Print,
    Refit,
    Registrations,
    Restore,
    Tell,
)
from kici_gql.store import Tx, fleet, records
from kici_gql.store import runs as run_store
from kici_gql.tables import Cluster, Liveness, Orchestrator, Surface

logger = logging.getLogger("kici_gql.relay")

MAX_AT_ONCE = 50
"""Reports of runs that share a transaction at most: others, heartbeats above all, wait while it is written."""


class Scribe:
    """Writes for one connection. Nothing that an orchestrator tells can raise here: what is refused is logged."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.connection_id = ""
        self.orchestrator_id = ""
        self.cluster_name = ""
        self.hostname = UNKNOWN

    async def introduce(self, effect: Introduce, process_id: str) -> None:
        """Enter the orchestrator, whose connection this process holds. Raises KiciError when it may not come in."""
        report = shapes.connecting(effect)
        alone = self.call.settings.is_sqlite
        prepare = partial(
            _prepare, viewer=self.call.viewer, report=report, process_id=process_id, alone=alone
        )
        done = await orchestrators.connect(self.call, report, held_by=process_id, before=prepare)
        self.connection_id = done.result["connection_id"]
        self.orchestrator_id = done.result["orchestrator_id"]
        self.cluster_name = done.result["cluster_name"]
        self.hostname = report.host.hostname

    async def let_go(self) -> None:
        """The connection has ended, and another one may be on its way, made by the orchestrator or by its heir."""
        work = partial(_let_go, connection_id=self.connection_id)
        try:
            await self.call.store.transaction(self.call.viewer.org_id, work)
        except KiciError as error:
            logger.warning("%s: the end of a connection was not noted: %s", self.cluster_name, error.message)

    async def leave(self, reason: str) -> None:
        """The orchestrator said goodbye. If it is back already, its new connection is another one and stays."""
        try:
            await orchestrators.disconnect(self.call, self.connection_id, reason)
            logger.info("%s: orchestrator %s %s", self.cluster_name, self.orchestrator_id, reason)
        except KiciError as error:
            logger.debug("nobody to say goodbye for: %s", error.message)

    async def lose(self, reason: str) -> None:
        """The orchestrator is gone without a goodbye, unless it is back already."""
        work = partial(_lose, viewer=self.call.viewer, connection_id=self.connection_id, reason=reason)
        try:
            await self.call.store.transaction(self.call.viewer.org_id, work)
            logger.warning("%s: orchestrator %s: %s", self.cluster_name, self.orchestrator_id, reason)
        except KiciError as error:
            logger.debug("nobody to miss: %s", error.message)

    async def runs_that_go_on(self, limit: int) -> list[str]:
        """The newest runs of the cluster that have not ended, by the ids that its orchestrators know."""
        return await self.call.store.read(self._runs_of, run_store.that_go_on, limit)

    async def runs_without_steps(self, limit: int) -> list[str]:
        """Those of the cluster's newest runs that have jobs and no steps."""
        return await self.call.store.read(self._runs_of, run_store.without_steps, limit)

    def _runs_of(
        self, connection: Connection, which: Callable[[Connection, str, str, int], list[str]], limit: int
    ) -> list[str]:
        org_id = self.call.viewer.org_id
        row = records.by_id(connection, Orchestrator, org_id, self.orchestrator_id)
        return which(connection, org_id, row.cluster_id, limit) if row is not None else []

    async def write(self, effects: Sequence[Effect]) -> None:
        """Everything in its order; reports of runs and lines that follow each other share transactions."""
        together: list[Tell | Print] = []
        for effect in effects:
            if isinstance(effect, Tell | Print):
                if _reports(together) + _reports([effect]) > MAX_AT_ONCE:
                    await self._tell(together)
                    together = []
                together.append(effect)
                continue
            await self._tell(together)
            together = []
            await self._write_one(effect)
        await self._tell(together)

    async def _tell(self, effects: Sequence[Tell | Print]) -> None:
        if not effects:
            return
        work = partial(_take_all, call=self.call, orchestrator_id=self.orchestrator_id, effects=effects)
        try:
            await perform(self.call, Action("orchestratorReportRuns", work))
        except KiciError as error:
            logger.warning("%s: a report of runs was not taken: %s", self.cluster_name, error.message)

    async def _write_one(self, effect: Effect) -> None:
        try:
            match effect:
                case Restore(lines):
                    await self._restore(lines)
                case Beat():
                    await orchestrators.heartbeat(self.call, shapes.beating(self.connection_id, effect))
                case Refit(inventory):
                    await self._refit(inventory)
                case Amend():
                    await self._amend(effect)
                case Registrations() | Backends() if not await self._speaks_for_cluster():
                    logger.warning("%s: another cluster of this name was here first", self.cluster_name)
                case Registrations(registry):
                    listing = shapes.listing(self.connection_id, registry, self.call.store.now())
                    await workflows.report(self.call, listing)
                case Backends(backends):
                    told = [shapes.backend(each) for each in backends]
                    await settings_reports.report(self.call, self.connection_id, {}, told)
                case DeadLetters(total):
                    await self._count(total)
        except KiciError as error:
            kind = type(effect).__name__
            logger.warning("%s: %s was not taken: %s", self.cluster_name, kind, error.message)

    async def _restore(self, lines: Lines) -> None:
        work = partial(_restore, call=self.call, orchestrator_id=self.orchestrator_id, lines=lines)
        await perform(self.call, Action("orchestratorReportLogs", work))

    async def _count(self, total: int) -> None:
        """Report the length of the dead-letter queue where it is not what was known, whichever sibling told that."""
        store, org_id = self.call.store, self.call.viewer.org_id
        if await store.read(_counts_anew, org_id, self.orchestrator_id, total):
            await settings_reports.report_queue(self.call, self.connection_id, total)

    async def _speaks_for_cluster(self) -> bool:
        store, org_id = self.call.store, self.call.viewer.org_id
        return await store.read(_speaks_for_cluster, org_id, self.orchestrator_id)

    async def _refit(self, inventory: Inventory) -> None:
        make_way = partial(
            _make_way_for,
            orchestrator_id=self.orchestrator_id,
            agent_ids=[agent.agent_id for agent in inventory.agents],
        )
        refitting = shapes.Refitting(self.connection_id, inventory.scalers, inventory.agents)
        await orchestrators.report_inventory(self.call, refitting, before=make_way)
        values = {"role": inventory.role, **host_columns(inventory.host)}
        if inventory.version != UNKNOWN:
            values["version"] = inventory.version
        await self._change(values)

    async def _amend(self, effect: Amend) -> None:
        await self._change(
            {
                "routing_keys": list(effect.routing_keys),
                "capabilities": shapes.names_of(effect.capabilities),
            }
        )
        told = {Surface.SECURITY_POLICY: policy(effect.capabilities)}
        await settings_reports.report(self.call, self.connection_id, told, None)

    async def _change(self, values: Result) -> None:
        work = partial(_change, call=self.call, connection_id=self.connection_id, values=values)
        await perform(self.call, Action("orchestratorReportInventory", work))


def _lose(tx: Tx, viewer: Viewer, connection_id: str, reason: str) -> None:
    row = orchestrators.connected(tx, viewer, connection_id)
    if row.liveness in fleet.PRESENT:
        departures.lose(tx, row, reason)


def _reports(effects: Iterable[Tell | Print]) -> int:
    return sum(len(effect.runs) for effect in effects if isinstance(effect, Tell))


def _change(tx: Tx, call: Call, connection_id: str, values: Result) -> Result:
    row = orchestrators.connected(tx, call.viewer, connection_id)
    if any(getattr(row, name) != value for name, value in values.items()):
        changes = Changes(row.cluster_id)
        new = records.change(tx.connection, Orchestrator, row.id, values | {"revision": row.revision + 1})
        changes.orchestrator(tx, new)
        changes.finish(tx)
    return {"object_id": row.id}


def _speaks_for_cluster(connection: Connection, org_id: str, orchestrator_id: str) -> bool:
    """Two unrelated clusters can have one name. What belongs to the whole cluster is the elder one's to tell."""
    row = records.by_id(connection, Orchestrator, org_id, orchestrator_id)
    if row is None:
        return False
    members = fleet.children(connection, Orchestrator, org_id, "cluster_id", [row.cluster_id])
    present = [each for each in members if each.liveness in fleet.PRESENT or each.id == row.id]
    return min(present, key=lambda each: each.id).cluster_key == row.cluster_key


def _counts_anew(connection: Connection, org_id: str, orchestrator_id: str, total: int) -> bool:
    row = records.by_id(connection, Orchestrator, org_id, orchestrator_id)
    if row is None or not _speaks_for_cluster(connection, org_id, orchestrator_id):
        return False
    cluster = records.by_id(connection, Cluster, org_id, row.cluster_id)
    return cluster is not None and cluster.dead_letters != total


def _prepare(tx: Tx, viewer: Viewer, report: shapes.Connecting, process_id: str, *, alone: bool) -> None:
    """What has to be settled with the orchestrators that are known before another one is entered.

    Nothing with those of a cluster that the token does not belong to: they will be refused.
    """
    cluster = naming.home_of(tx, viewer, report)
    if cluster is None or not naming.belongs(tx.connection, viewer, cluster):
        return
    _adopt(tx, cluster.id, report, lambda row: _is_held(row, process_id, alone=alone))
    _make_way(tx, cluster.id, report.instance_id, [agent.agent_id for agent in report.agents])


def _adopt(
    tx: Tx, cluster_id: str, report: shapes.Connecting, is_held: Callable[[Orchestrator], bool]
) -> None:
    """An orchestrator makes up a new instance id with every process; the one that stopped on its host was the same.

    So that a restart doesn't leave a dead orchestrator behind, the newest one of this cluster and host that is not
    there any more takes the new id, and keeps its history under it.
    """
    members = fleet.children(tx.connection, Orchestrator, tx.org_id, "cluster_id", [cluster_id])
    if report.instance_id is None or any(row.instance_id == report.instance_id for row in members):
        return
    before = [
        row
        for row in members
        if row.hostname == report.host.hostname
        and row.cluster_key == report.cluster_key
        and row.role == report.role
        and (row.liveness not in fleet.PRESENT or not is_held(row))
    ]
    if before:
        heir = max(before, key=lambda row: row.last_heartbeat_at)
        records.change(tx.connection, Orchestrator, heir.id, {"instance_id": report.instance_id})
        tx.disturbed.add(heir.id)


def _is_held(row: Orchestrator, process_id: str, *, alone: bool) -> bool:
    """Whether a process of ours has its connection. Of a process that was killed only the next one can know, if it is alone."""
    if not row.asked_live:
        return True  # it has none
    return row.listens_at == process_id if alone else row.listens_at is not None


def _let_go(tx: Tx, connection_id: str) -> None:
    row = fleet.orchestrator_of(tx.connection, tx.org_id, connection_id)
    if row is not None:
        records.change(tx.connection, Orchestrator, row.id, {"listens_at": None})


def _make_way(tx: Tx, cluster_id: str, instance_id: str | None, agent_ids: Sequence[str]) -> None:
    """An agent is connected to one orchestrator; the last one that says so has it.

    Agents wander between siblings, and the one that lost an agent may tell it later than the one that got it.
    """
    known = fleet.agents_by_name(tx.connection, cluster_id, agent_ids)
    owners = records.by_ids(
        tx.connection, Orchestrator, tx.org_id, {row.orchestrator_id for row in known.values()}
    )
    ours = {row.id for row in owners if row.instance_id == instance_id}
    for row in known.values():
        if row.orchestrator_id not in ours:
            values = {"liveness": Liveness.OFFLINE, "liveness_reason": "connected elsewhere"}
            tx.later(fleet.TURNS, [fleet.turn_of(records.turned(row, values))])
            tx.disturbed.add(row.orchestrator_id)


def _make_way_for(tx: Tx, orchestrator_id: str, agent_ids: Sequence[str]) -> None:
    row = records.by_id(tx.connection, Orchestrator, tx.org_id, orchestrator_id)
    if row is not None:
        _make_way(tx, row.cluster_id, row.instance_id, agent_ids)


def _take_all(tx: Tx, call: Call, orchestrator_id: str, effects: Sequence[Tell | Print]) -> Result:
    """By the orchestrator, not by its connection: what came over a link stays true when the link has ended."""
    row = records.by_id(tx.connection, Orchestrator, tx.org_id, orchestrator_id)
    if row is None:
        raise NotFound("the orchestrator is gone")
    for told, lines in turns(effects):
        for reports in apart(told, tx.now):
            runs.take(tx, row.cluster_id, reports)
        if lines:
            parts = numbered(tx, row.cluster_id, lines)
            logs.take(tx, row.cluster_id, parts, call.settings.max_run_log_bytes)
    return {"object_id": row.id}


def _restore(tx: Tx, call: Call, orchestrator_id: str, lines: Lines) -> Result:
    row = records.by_id(tx.connection, Orchestrator, tx.org_id, orchestrator_id)
    if row is None:
        raise NotFound("the orchestrator is gone")
    part = shapes.Part(lines.run_id, lines.job_id, lines.step, 0, lines.lines)
    logs.restore(tx, row.cluster_id, part, call.settings.max_run_log_bytes)
    return {"object_id": row.id}
