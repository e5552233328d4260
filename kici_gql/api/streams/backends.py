"""`secretBackends`: how the clusters' secret backends are."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Connection

from kici_gql.api.context import Services
from kici_gql.api.streams.frames import LOSSLESS, Frame
from kici_gql.api.streams.infrastructure import row_of
from kici_gql.api.streams.view import LogView
from kici_gql.api.types.surfaces import SecretBackend
from kici_gql.events import Event, EventType, Topic
from kici_gql.store import fleet, settings
from kici_gql.tables import Surface


@strawberry.type(description="A secret backend is new or changed.", directives=LOSSLESS)
class SecretBackendChanged:
    secret_backend: SecretBackend = strawberry.field(description="The backend at this position.")


@strawberry.type(description="A secret backend is gone.", directives=LOSSLESS)
class SecretBackendRemoved:
    id: strawberry.ID = strawberry.field(description="Global id it had.")


@strawberry.type(description="A cluster reported a scoped surface anew: read it again.", directives=LOSSLESS)
class SurfaceChanged:
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    surface: Surface = strawberry.field(description="Which surface.")


@strawberry.type(
    description="One of a cluster's orchestrators came, changed or went. What was reported before `connectedAt` holds no "
    "longer, and nothing holds while nobody is there: each backend and surface is told anew when it has been reported again, "
    "or when an orchestrator that was only out of sight is back.",
    directives=LOSSLESS,
)
class ClusterConnectionChanged:
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    orchestrator_id: strawberry.ID = strawberry.field(description="Orchestrator that came or went.")
    connected: bool = strawberry.field(description="Whether that orchestrator is there now.")
    cluster_connected: bool = strawberry.field(
        description="Whether at least one orchestrator of the cluster is there now."
    )
    connected_at: datetime | None = strawberry.field(
        description="Since when the cluster is connected without a break; null while it is not."
    )


SecretBackendEvent = Annotated[
    SecretBackendChanged | SecretBackendRemoved | SurfaceChanged | ClusterConnectionChanged,
    strawberry.union("SecretBackendEvent", description="Something about a cluster's own settings changed."),
]


@strawberry.type(description="The secret backends of the clusters that are connected.")
class SecretBackendSnapshot:
    secret_backends: list[SecretBackend] = strawberry.field(description="All of them.")


@strawberry.type(description="One message of `secretBackends`.")
class SecretBackendFrame(Frame):
    snapshot: SecretBackendSnapshot | None = strawberry.field(
        description="The state at `cursor`, in a SNAPSHOT or RESYNC; else null."
    )
    events: list[SecretBackendEvent] = strawberry.field(
        description="What happened, oldest first; empty unless `kind` is EVENTS."
    )


class SecretBackendView(LogView[SecretBackendFrame]):
    """Secret backends and surfaces of an org, and whether their clusters are there."""

    topics = frozenset({Topic.SETTINGS, Topic.INFRASTRUCTURE})
    frame = SecretBackendFrame

    def __init__(self, services: Services, org_id: str) -> None:
        super().__init__(services, org_id, None)

    def state(self, connection: Connection) -> SecretBackendSnapshot:
        rows: list[Any] = list(settings.connected_backends(connection, self.org_id))
        return SecretBackendSnapshot(secret_backends=rows)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [shown for event in events if (shown := _show(event)) is not None]


def _show(event: Event) -> Any:
    if event.type is EventType.BACKEND_CHANGED:
        return SecretBackendChanged(secret_backend=row_of(event))
    if event.type is EventType.BACKEND_REMOVED:
        return SecretBackendRemoved(id=event.data["id"])
    if event.type is EventType.SURFACE_CHANGED:
        return SurfaceChanged(cluster_id=event.data["cluster_id"], surface=Surface(event.data["surface"]))
    if event.type is EventType.ORCHESTRATOR_CHANGED:
        there = event.data["liveness"] in fleet.PRESENT
        return ClusterConnectionChanged(
            cluster_id=event.data["cluster_id"],
            orchestrator_id=event.data["id"],
            connected=there,
            cluster_connected=event.data["cluster_connected_since"] is not None,
            connected_at=event.data["cluster_connected_since"],
        )
    return None
