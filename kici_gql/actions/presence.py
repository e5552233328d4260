"""Who is there: turning beats and silence into liveness, and liveness into events and alerts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from kici_gql.actions.problems import acknowledgement_over, review
from kici_gql.events import Event, EventType
from kici_gql.rules import liveness
from kici_gql.rules.liveness import Thresholds, Verdict
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, alerts, fleet, records
from kici_gql.tables import Agent, Cluster, Liveness, Orchestrator, Scaler

_SWEEP_LIMIT = 1000


def thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        interval=timedelta(seconds=settings.heartbeat_interval_seconds),
        late_after=timedelta(seconds=settings.late_after_seconds),
        lost_after=timedelta(seconds=settings.lost_after_seconds),
    )


@dataclass(slots=True)
class Changes:
    """What one transaction changed about the presence of a cluster's members."""

    cluster_id: str
    evidence: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    scalers: set[str] = field(default_factory=set)

    def orchestrator(self, tx: Tx, row: Orchestrator, *, arrives: bool = False) -> None:
        """Tell of a change. `arrives` says that it has just connected."""
        data = records.state_of(row) | {"cluster_connected_since": _note_connection(tx, row, arrives)}
        self.evidence[row.id].append(tx.append(Event(EventType.ORCHESTRATOR_CHANGED, data)))

    def agent(self, tx: Tx, row: Agent) -> None:
        self.evidence[row.id].append(tx.append(Event(EventType.AGENT_CHANGED, records.state_of(row))))
        if row.scaler_id is not None:
            self.scalers.add(row.scaler_id)

    def finish(self, tx: Tx) -> None:
        """Recount the scalers concerned, then bring the cluster's alerts into line."""
        recount(tx, self.scalers)
        if self.evidence:
            review(tx, self.cluster_id, self.evidence)


def _note_connection(tx: Tx, row: Orchestrator, arrives: bool) -> datetime | None:
    """Since when the row's cluster is connected; None: it is not. It is written down where that changed.

    An only orchestrator that connects anew begins anew, even when its old connection was never missed: what it
    reported over the old one may not be so any more.
    """
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, row.cluster_id)
    assert cluster is not None, "a foreign key says so"
    members = fleet.children(tx.connection, Orchestrator, tx.org_id, "cluster_id", [row.cluster_id])
    present = {each.id for each in members if each.liveness in fleet.PRESENT}
    since = cluster.connected_since if present else None
    if present and (since is None or (arrives and present == {row.id})):
        since = tx.now
    if since != cluster.connected_since:
        records.change(tx.connection, Cluster, cluster.id, {"connected_since": since})
    return since


def recount(tx: Tx, scaler_ids: Iterable[str]) -> None:
    """Write the number of present agents of these scalers where it changed."""
    wanted = set(scaler_ids)
    if not wanted:
        return
    present = fleet.present_agents(tx.connection, wanted)
    for scaler in records.by_ids(tx.connection, Scaler, tx.org_id, wanted):
        active = present.get(scaler.id, 0)
        if active != scaler.active_agents:
            row = records.change(
                tx.connection, Scaler, scaler.id, {"active_agents": active, "revision": scaler.revision + 1}
            )
            tx.append(Event(EventType.SCALER_CHANGED, records.state_of(row)))


def verdict_columns(row: Orchestrator | Agent, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """Columns that a verdict changes; `liveness_since` only moves when the state does."""
    values: dict[str, Any] = {"missed_beats": verdict.missed_beats, "due_at": verdict.due_at}
    if verdict.state != row.liveness:
        values |= {
            "liveness": verdict.state,
            "liveness_reason": verdict.reason,
            "liveness_since": now,
            "revision": row.revision + 1,
        }
    return values


async def sweep(store: Store, settings: Settings, now: datetime, serving_since: datetime) -> datetime | None:
    """Judge everybody whose silence is due, and open alerts whose acknowledgement has run out.

    Returns when somebody is due next. Work is proportional to who is due, not to the fleet, and harmless to repeat:
    several server processes may sweep at once.
    """
    for org_id in await store.read(fleet.orgs_due, now):
        judge = partial(_sweep_org, now=now, serving_since=serving_since, limits=thresholds(settings))
        while await store.transaction(org_id, judge):
            pass
    for alert in await store.read(alerts.run_out, now, _SWEEP_LIMIT):
        await store.transaction(alert.org_id, partial(_reopen, alert_id=alert.id, now=now))
    return await store.read(fleet.next_due)


def _sweep_org(tx: Tx, now: datetime, serving_since: datetime, limits: Thresholds) -> bool:
    """Judge at most `_SWEEP_LIMIT` of each; true when there may be more."""
    orchestrators = fleet.due(tx.connection, Orchestrator, tx.org_id, now, _SWEEP_LIMIT)
    agents = fleet.due(tx.connection, Agent, tx.org_id, now, _SWEEP_LIMIT)
    changes: dict[str, Changes] = {}
    for row in orchestrators:
        _judge_orchestrator(tx, row, _of(changes, row.cluster_id), now, serving_since, limits)
    for agent in agents:
        _judge_agent(tx, agent, _of(changes, agent.cluster_id), now, serving_since, limits)
    for each in changes.values():
        each.finish(tx)
    return len(orchestrators) == _SWEEP_LIMIT or len(agents) == _SWEEP_LIMIT


def _of(changes: dict[str, Changes], cluster_id: str) -> Changes:
    return changes.setdefault(cluster_id, Changes(cluster_id))


def _judge_orchestrator(
    tx: Tx, row: Orchestrator, changes: Changes, now: datetime, serving_since: datetime, limits: Thresholds
) -> None:
    verdict = liveness.judge(row.last_heartbeat_at, now, serving_since, limits, row.liveness)
    values = verdict_columns(row, verdict, now)
    if verdict.state is Liveness.LOST:
        values["disconnected_at"] = now
    new = records.change(tx.connection, Orchestrator, row.id, values)
    if verdict.state != row.liveness:
        changes.orchestrator(tx, new)


def _judge_agent(
    tx: Tx, row: Agent, changes: Changes, now: datetime, serving_since: datetime, limits: Thresholds
) -> None:
    heard = row.last_heartbeat_at or row.first_seen_at
    verdict = liveness.judge(heard, now, serving_since, limits, row.liveness)
    if row.last_heartbeat_at is None and verdict.state in fleet.PRESENT:
        verdict = Verdict(Liveness.NEVER_SEEN, "no heartbeat yet", verdict.missed_beats, verdict.due_at)
    new = records.change(tx.connection, Agent, row.id, verdict_columns(row, verdict, now))
    if verdict.state != row.liveness:
        changes.agent(tx, new)


def _reopen(tx: Tx, alert_id: str, now: datetime) -> None:
    for alert in alerts.run_out(tx.connection, now, _SWEEP_LIMIT):
        if alert.id == alert_id:
            acknowledgement_over(tx, alert)


def farewell(tx: Tx, orchestrator: Orchestrator, reason: str) -> None:
    """The orchestrator said goodbye: it and its agents are OFFLINE at once, and nobody waits for their beats."""
    gone = {
        "liveness": Liveness.OFFLINE,
        "liveness_reason": reason,
        "liveness_since": tx.now,
        "missed_beats": 0,
        "due_at": None,
    }
    changes = Changes(orchestrator.cluster_id)
    row = records.change(
        tx.connection,
        Orchestrator,
        orchestrator.id,
        gone | {"disconnected_at": tx.now, "revision": orchestrator.revision + 1, **_IDLE},
    )
    changes.orchestrator(tx, row)
    for agent in fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", [orchestrator.id]):
        if agent.liveness is not Liveness.OFFLINE:
            values = gone | {"revision": agent.revision + 1, "active_jobs": 0}
            changes.agent(tx, records.change(tx.connection, Agent, agent.id, values))
    changes.finish(tx)


_IDLE: Mapping[str, int] = {"running_jobs": 0, "queued_jobs": 0}
