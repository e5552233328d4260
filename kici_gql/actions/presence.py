"""Who is there: turning beats and silence into liveness, and liveness into events and alerts."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from kici_gql.actions.problems import acknowledgement_over, review
from kici_gql.actions.surfaces import tell_again
from kici_gql.events import Event, EventType
from kici_gql.rules import liveness
from kici_gql.rules.liveness import Thresholds, Verdict
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, alerts, fleet, records
from kici_gql.tables import Agent, Cluster, Liveness, Orchestrator, Scaler

_SWEEP_LIMIT = 200  # orchestrators; each may have as many agents as one report holds


def thresholds(settings: Settings) -> Thresholds:
    return _thresholds(
        settings.heartbeat_interval_seconds, settings.late_after_seconds, settings.lost_after_seconds
    )


@cache
def _thresholds(*seconds: float) -> Thresholds:
    interval, late_after, lost_after = (timedelta(seconds=each) for each in seconds)
    return Thresholds(interval, late_after, lost_after)


@dataclass(slots=True)
class Changes:
    """What one transaction changed about the presence of a cluster's members."""

    cluster_id: str
    evidence: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    scalers: set[str] = field(default_factory=set)

    def orchestrator(self, tx: Tx, row: Orchestrator, *, arrives: bool = False) -> None:
        """Tell of a change. `arrives` says that it has just connected."""
        before, since = _note_connection(tx, row, arrives)
        data = records.state_of(row) | {"cluster_connected_since": since}
        self.evidence[row.id].append(tx.append(Event(EventType.ORCHESTRATOR_CHANGED, data)))
        if before is None and since is not None and not arrives:
            tell_again(tx, self.cluster_id, since)

    def agent(self, tx: Tx, row: Agent) -> None:
        self.evidence[row.id].append(tx.append(Event(EventType.AGENT_CHANGED, records.state_of(row))))
        if row.scaler_id is not None:
            self.scalers.add(row.scaler_id)

    def turn(self, tx: Tx, row: Agent) -> None:
        """Write and tell that an agent came, fell silent or paused. Many may do so at once: nothing is read for it."""
        tx.later(fleet.TURNS, [fleet.turn_of(row)])
        self.agent(tx, row)

    def enter(self, tx: Tx, row: Agent) -> None:
        """Write and tell all of an agent but its figures; many at once, too."""
        tx.later(fleet.RECORDS, [fleet.RECORDS.row_of(row)])
        self.agent(tx, row)

    def finish(self, tx: Tx) -> None:
        """Recount the scalers concerned, then bring the cluster's alerts into line."""
        recount(tx, self.scalers)
        if self.evidence:
            review(tx, self.cluster_id, self.evidence)


def _note_connection(tx: Tx, row: Orchestrator, arrives: bool) -> tuple[datetime | None, datetime | None]:
    """Since when the row's cluster was connected, and is now; None: it is not. It is written down where that changed.

    An only orchestrator that connects anew begins anew, even when its old connection was never missed: what it
    reported over the old one may not be so any more. One that comes back over the connection it had was only out of
    sight, and what it has said over that still holds.
    """
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, row.cluster_id)
    assert cluster is not None, "a foreign key says so"
    members = fleet.children(tx.connection, Orchestrator, tx.org_id, "cluster_id", [row.cluster_id])
    present = {each.id for each in members if each.liveness in fleet.PRESENT}
    since = cluster.connected_since if present else None
    if present and (since is None or (arrives and present == {row.id})):
        since = row.connected_at
    if since != cluster.connected_since:
        records.change(tx.connection, Cluster, cluster.id, {"connected_since": since})
    return cluster.connected_since, since


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
    """Columns that a verdict changes; none when it is the same as before."""
    values: dict[str, Any] = {}
    if verdict.state != row.liveness:
        values = {
            "missed_beats": verdict.missed_beats,
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
        while await store.transaction(org_id, judge, patient=True):
            pass
    for alert in await store.read(alerts.run_out, now, _SWEEP_LIMIT):
        await store.transaction(alert.org_id, partial(_reopen, alert_id=alert.id, now=now))
    return await store.read(fleet.next_due)


def _sweep_org(tx: Tx, now: datetime, serving_since: datetime, limits: Thresholds) -> bool:
    """Judge at most `_SWEEP_LIMIT` orchestrators and their agents; true when there may be more."""
    orchestrators = fleet.due(tx.connection, tx.org_id, now, _SWEEP_LIMIT)
    agents: defaultdict[str, list[Agent]] = defaultdict(list)
    ids = [row.id for row in orchestrators]
    for agent in fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", ids):
        agents[agent.orchestrator_id].append(agent)
    changes: dict[str, Changes] = {}
    judge = _Judge(tx, now, serving_since, limits)
    for row in orchestrators:
        judge.all_of(row, agents[row.id], changes.setdefault(row.cluster_id, Changes(row.cluster_id)))
    for each in changes.values():
        each.finish(tx)
    return len(orchestrators) == _SWEEP_LIMIT


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges silence at one moment, and writes what its verdicts change."""

    tx: Tx
    now: datetime
    serving_since: datetime
    limits: Thresholds

    def all_of(self, row: Orchestrator, agents: Iterable[Agent], changes: Changes) -> None:
        """Judge an orchestrator and its agents, and note when that has to be done again."""
        due = [self._orchestrator(row, changes)] if row.liveness in fleet.PRESENT else []
        due += [self._agent(agent, changes) for agent in agents if agent.liveness in liveness.AWAITED]
        due_at = min((moment for moment in due if moment is not None), default=None)
        records.change(self.tx.connection, Orchestrator, row.id, {"due_at": due_at})

    def _orchestrator(self, row: Orchestrator, changes: Changes) -> datetime | None:
        verdict = liveness.judge(
            row.last_heartbeat_at, self.now, self.serving_since, self.limits, row.liveness
        )
        values = verdict_columns(row, verdict, self.now)
        if values:
            if verdict.state is Liveness.LOST:
                values["disconnected_at"] = self.now
            new = records.change(self.tx.connection, Orchestrator, row.id, values)
            changes.orchestrator(self.tx, new)
        return verdict.due_at

    def _agent(self, row: Agent, changes: Changes) -> datetime | None:
        verdict = agent_verdict(row, self.now, self.serving_since, self.limits, row.liveness)
        values = verdict_columns(row, verdict, self.now)
        if values:
            changes.turn(self.tx, records.turned(row, values))
        return verdict.due_at


def agent_verdict(
    row: Agent, now: datetime, serving_since: datetime, limits: Thresholds, before: Liveness
) -> Verdict:
    """What an agent's own silence means, when it was judged `before`."""
    verdict = liveness.judge(heard_at(row), now, serving_since, limits, before)
    if row.last_heartbeat_at is None and verdict.state in fleet.PRESENT:
        return Verdict(Liveness.NEVER_SEEN, "no heartbeat yet", verdict.missed_beats, verdict.due_at)
    return verdict


def heard_at(row: Agent) -> datetime:
    """The moment from which an agent's silence is counted."""
    return row.last_heartbeat_at or row.first_seen_at


def _reopen(tx: Tx, alert_id: str, now: datetime) -> None:
    for alert in alerts.run_out(tx.connection, now, _SWEEP_LIMIT):
        if alert.id == alert_id:
            acknowledgement_over(tx, alert)
