"""`infrastructure`: the fleet and its alerts."""

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from kici_gql import tables
from kici_gql.api.context import Services
from kici_gql.api.streams.frames import (
    AgentChanged,
    AgentRemoved,
    AlertChanged,
    ClusterChanged,
    InfrastructureFrame,
    InfrastructureSnapshot,
    OrchestratorChanged,
    OrchestratorRemoved,
    ScalerChanged,
    ScalerRemoved,
)
from kici_gql.api.streams.view import LogView
from kici_gql.events import Event, EventType, Topic
from kici_gql.store import alerts as alert_store
from kici_gql.store import fleet
from kici_gql.store.filters import Condition, clauses, matches


def row_of(event: Event) -> Any:
    """The object at the event's position, with the attributes of its row."""
    return SimpleNamespace(**event.data)


_SHOWN: dict[EventType, Callable[[Event], Any]] = {
    EventType.CLUSTER_CHANGED: lambda event: ClusterChanged(cluster=row_of(event)),
    EventType.ORCHESTRATOR_CHANGED: lambda event: OrchestratorChanged(orchestrator=row_of(event)),
    EventType.ORCHESTRATOR_REMOVED: lambda event: OrchestratorRemoved(id=event.data["id"]),
    EventType.SCALER_CHANGED: lambda event: ScalerChanged(scaler=row_of(event)),
    EventType.SCALER_REMOVED: lambda event: ScalerRemoved(id=event.data["id"]),
    EventType.AGENT_CHANGED: lambda event: AgentChanged(agent=row_of(event)),
    EventType.AGENT_REMOVED: lambda event: AgentRemoved(id=event.data["id"]),
    EventType.ALERT_CHANGED: lambda event: AlertChanged(alert=row_of(event)),
}


class InfrastructureView(LogView[InfrastructureFrame]):
    """The fleet of an org, or of one cluster; `where` narrows the agents."""

    topics = frozenset({Topic.INFRASTRUCTURE, Topic.ALERTS})
    frame = InfrastructureFrame

    def __init__(
        self, services: Services, org_id: str, cluster_id: str | None, where: tuple[Condition, ...]
    ) -> None:
        super().__init__(services, org_id, (cluster_id, where))
        self.cluster_id = cluster_id
        self.where = where

    def state(self, connection: Connection) -> InfrastructureSnapshot:
        def rows(model: type[Any], *conditions: Any) -> list[Any]:
            return list(fleet.whole(connection, model, self.org_id, self.cluster_id, conditions))

        return InfrastructureSnapshot(
            clusters=rows(tables.Cluster),
            orchestrators=rows(tables.Orchestrator),
            scalers=rows(tables.Scaler),
            agents=rows(tables.Agent, *clauses(tables.Agent, self.where)),
            alerts=list(alert_store.unresolved(connection, self.org_id, self.cluster_id)),  # type: ignore[arg-type]
        )

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [self._show(event) for event in events if self._concerns(event)]

    def _concerns(self, event: Event) -> bool:
        if event.type not in _SHOWN:
            return False
        if self.cluster_id is None:
            return True
        cluster_id = event.data["id"] if event.type is EventType.CLUSTER_CHANGED else event.data["cluster_id"]
        return bool(cluster_id == self.cluster_id)

    def _show(self, event: Event) -> Any:
        if event.type is EventType.AGENT_CHANGED and not matches(self.where, event.data):
            return AgentRemoved(id=event.data["id"])
        return _SHOWN[event.type](event)
