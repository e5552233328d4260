"""`heartbeats`: everybody's newest figures. A page holds one event for each agent at most."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from kici_gql import tables
from kici_gql.api.context import Services
from kici_gql.api.streams.frames import (
    AgentHeartbeat,
    HeartbeatFrame,
    HeartbeatSnapshot,
    OrchestratorHeartbeat,
)
from kici_gql.api.streams.view import LogView
from kici_gql.events import Event, EventType, Topic
from kici_gql.rules import names
from kici_gql.store import fleet
from kici_gql.store.filters import Condition, clauses, matches


class HeartbeatView(LogView[HeartbeatFrame]):
    """Heartbeats of an org, or of one cluster; `where` narrows the agents."""

    topics = frozenset({Topic.HEARTBEATS})
    frame = HeartbeatFrame

    def __init__(
        self, services: Services, org_id: str, cluster_id: str | None, where: tuple[Condition, ...]
    ) -> None:
        super().__init__(services, org_id, (cluster_id, where))
        self.cluster_id = cluster_id
        self.where = where

    def state(self, connection: Connection) -> HeartbeatSnapshot:
        orchestrators = fleet.whole(connection, tables.Orchestrator, self.org_id, self.cluster_id)
        agents = fleet.whole(
            connection, tables.Agent, self.org_id, self.cluster_id, clauses(tables.Agent, self.where)
        )
        return HeartbeatSnapshot(
            orchestrators=[_newest_of_orchestrator(row) for row in orchestrators],
            agents=[_agent_heartbeat(vars_of(row), 1) for row in agents],
        )

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        """The newest state of each, in the order of those states; `folded` counts what it stands for."""
        folding = self.folding()
        folding.add(events)
        return folding.shown()

    def folding(self) -> "NewestBeats":
        everybody = self.cluster_id is None and not self.where
        return NewestBeats(None if everybody else self._concerns)

    def _concerns(self, event: Event) -> bool:
        whole = event.whole
        if self.cluster_id is not None and whole["cluster_id"] != self.cluster_id:
            return False
        return event.type is not EventType.AGENT_BEAT or matches(self.where, whole)


class NewestBeats:
    """The newest beat of each, and how many it stands for."""

    def __init__(self, concerns: Callable[[Event], bool] | None) -> None:
        self._concerns = concerns
        self._newest: dict[str, tuple[Event, int]] = {}

    def add(self, events: Iterable[Event]) -> None:
        newest = self._newest
        for event in events if self._concerns is None else filter(self._concerns, events):
            id_ = (event.profile or event.data)["id"]
            # Taken out and put in again, so that the order is that of the newest states.
            before = newest.pop(id_, None)
            newest[id_] = (event, 1 if before is None else before[1] + 1)

    def shown(self) -> Sequence[Any]:
        return [_show(event, count) for event, count in self._newest.values()]


def vars_of(row: Any) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001 - the public way to a Core row as a mapping


def _show(event: Event, folded: int) -> AgentHeartbeat | OrchestratorHeartbeat:
    if event.type is EventType.AGENT_BEAT:
        return _agent_heartbeat(event.data, folded, event.profile)
    return _orchestrator_heartbeat(event.whole, folded)


def _newest_of_orchestrator(row: tables.Orchestrator) -> OrchestratorHeartbeat:
    display_id = names.display_id(row.instance_id, row.instance_named, row.connection_id)
    return _orchestrator_heartbeat(vars_of(row) | {"display_id": display_id}, 1)


def _agent_heartbeat(
    data: Mapping[str, Any], folded: int, profile: Mapping[str, Any] | None = None
) -> AgentHeartbeat:
    # Without the constructor, which would pick eighteen values one by one for each beat of each agent.
    heartbeat = AgentHeartbeat.__new__(AgentHeartbeat)
    shown = heartbeat.__dict__
    if profile is not None:
        shown.update(profile)
    shown.update(data)
    shown["label_names"] = shown.pop("labels")
    shown["folded"] = folded
    return heartbeat


def _orchestrator_heartbeat(data: Any, folded: int) -> OrchestratorHeartbeat:
    return OrchestratorHeartbeat(
        orchestrator_id=data["id"],
        display_id=data["display_id"],
        cluster_id=data["cluster_id"],
        liveness=data["liveness"],
        cpu_count=data["cpu_count"],
        memory_used_mb=data["memory_used_mb"],
        memory_total_mb=data["memory_total_mb"],
        uptime_seconds=data["uptime_seconds"],
        running_jobs=data["running_jobs"],
        queued_jobs=data["queued_jobs"],
        last_heartbeat_at=data["last_heartbeat_at"],
        folded=folded,
    )
