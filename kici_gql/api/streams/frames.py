"""Frames and the events in them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.schema_directive import Location

from kici_gql.api.engine.ports import LASTING
from kici_gql.api.enums import DeliveryClass, FrameKind
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.alert import Alert
from kici_gql.api.types.base import Label, labels_of
from kici_gql.api.types.cluster import Cluster
from kici_gql.api.types.fleet import Agent, Orchestrator, Scaler
from kici_gql.tables import Liveness


@strawberry.schema_directive(
    locations=[Location.OBJECT],
    name="delivery",
    description="How an event type reaches a reader that is too slow.",
)
class Delivery:
    class_: DeliveryClass = strawberry.directive_field(name="class")


LOSSLESS = [Delivery(class_=DeliveryClass.LOSSLESS)]
COALESCED = [Delivery(class_=DeliveryClass.COALESCED)]


@strawberry.interface(description="One message of a subscription. All streams have this shape.")
class Frame:
    kind: FrameKind = strawberry.field(description="What the frame is.")
    cursor: Cursor = strawberry.field(
        description="Position after this frame; send it as `after` to go on behind it."
    )
    previous_cursor: Cursor | None = strawberry.field(
        description="`cursor` of the frame before it in this view, so that a client can prove that it missed nothing."
    )
    at: datetime = strawberry.field(description="The server's clock when the frame was made.")
    reason: str | None = strawberry.field(description="Why the stream starts over, in a RESYNC; else null.")


@strawberry.type(description="A cluster is new or changed.", directives=LOSSLESS)
class ClusterChanged:
    cluster: Cluster = strawberry.field(description="The cluster at this position.")


@strawberry.type(
    description="An orchestrator is new or changed; heartbeat figures alone don't count.", directives=LOSSLESS
)
class OrchestratorChanged:
    orchestrator: Orchestrator = strawberry.field(description="The orchestrator at this position.")


@strawberry.type(description="An orchestrator is gone from the view.", directives=LOSSLESS)
class OrchestratorRemoved:
    id: strawberry.ID = strawberry.field(description="Global id it had.")


@strawberry.type(description="A scaler is new or changed.", directives=LOSSLESS)
class ScalerChanged:
    scaler: Scaler = strawberry.field(description="The scaler at this position.")


@strawberry.type(description="A scaler is gone from the view.", directives=LOSSLESS)
class ScalerRemoved:
    id: strawberry.ID = strawberry.field(description="Global id it had.")


@strawberry.type(
    description="An agent is new or changed; heartbeat figures alone don't count.", directives=LOSSLESS
)
class AgentChanged:
    agent: Agent = strawberry.field(description="The agent at this position.")


@strawberry.type(
    description="An agent is gone, or no longer fulfils `where`. May name one that the view never showed.",
    directives=LOSSLESS,
)
class AgentRemoved:
    id: strawberry.ID = strawberry.field(description="Global id it had.")


@strawberry.type(description="An alert was opened, changed, acknowledged or resolved.", directives=LOSSLESS)
class AlertChanged:
    alert: Alert = strawberry.field(description="The alert at this position.")


@strawberry.type(
    description="An alert no longer fulfils `where`. May name one that the view never showed.",
    directives=LOSSLESS,
)
class AlertRemoved:
    id: strawberry.ID = strawberry.field(description="Global id of the alert.")


_FOLDED = (
    "How many heartbeats it stands for, itself included: more than 1 when the reader was too slow for each."
)


@strawberry.type(description="An orchestrator's heartbeat.", directives=COALESCED)
class OrchestratorHeartbeat:
    orchestrator_id: strawberry.ID = strawberry.field(description="Global id of the orchestrator.")
    display_id: str = strawberry.field(description="What people call it.")
    cluster_id: strawberry.ID = strawberry.field(description="Global id of its cluster.")
    liveness: Liveness = strawberry.field(description="Verdict at this position.")
    cpu_count: int = strawberry.field(description="Processors of its host.")
    memory_used_mb: int = strawberry.field(description="Memory used on its host, in MB.")
    memory_total_mb: int = strawberry.field(description="Memory of its host, in MB.")
    uptime_seconds: int = strawberry.field(description="Seconds it has been running.")
    running_jobs: int = strawberry.field(description="Jobs that run.")
    queued_jobs: int = strawberry.field(description="Jobs that wait.")
    last_heartbeat_at: datetime | None = strawberry.field(
        description="When it arrived, by the server's clock. Never null; nullable as `AgentHeartbeat`'s is."
    )
    folded: int = strawberry.field(description=_FOLDED)


@strawberry.type(description="An agent's heartbeat.", directives=COALESCED)
class AgentHeartbeat:
    id: strawberry.ID = strawberry.field(description="Global id of the agent.")
    agent_id: str = strawberry.field(description="Name its orchestrator gave it.")
    cluster_id: strawberry.ID = strawberry.field(description="Global id of its cluster.")
    orchestrator_id: strawberry.ID = strawberry.field(description="Global id of its orchestrator.")
    scaler_id: strawberry.ID | None = strawberry.field(
        description="Global id of its scaler; null: stateful agent."
    )
    hostname: str = strawberry.field(description="Name of the host it runs on.")
    version: str = strawberry.field(description="Version of the agent program.")
    liveness: Liveness = strawberry.field(description="Verdict at this position.")
    cpu_count: int = strawberry.field(description="Processors it may use.")
    memory_used_mb: int = strawberry.field(description="Memory used, in MB.")
    memory_total_mb: int = strawberry.field(description="Memory there is, in MB.")
    uptime_seconds: int = strawberry.field(description="Seconds it has been running.")
    active_jobs: int = strawberry.field(description="Jobs it is running.")
    max_concurrency: int = strawberry.field(description="Jobs it can run at once.")
    paused: bool = strawberry.field(description="Whether it takes no new jobs.")
    last_heartbeat_at: datetime | None = strawberry.field(
        description="When it arrived, by the server's clock; null in a snapshot of an agent that never beat."
    )
    folded: int = strawberry.field(description=_FOLDED)
    label_names: strawberry.Private[list[str]]

    @strawberry.field(description="Labels that jobs are matched by.", metadata=LASTING)
    def labels(self) -> list[Label]:
        return labels_of(self.label_names)


InfrastructureEvent = Annotated[
    ClusterChanged
    | OrchestratorChanged
    | OrchestratorRemoved
    | ScalerChanged
    | ScalerRemoved
    | AgentChanged
    | AgentRemoved
    | AlertChanged
    | AlertRemoved,
    strawberry.union("InfrastructureEvent", description="Something about the fleet or its alerts changed."),
]
HeartbeatEvent = Annotated[
    OrchestratorHeartbeat | AgentHeartbeat,
    strawberry.union("HeartbeatEvent", description="Somebody's heartbeat arrived."),
]
AlertEvent = Annotated[
    AlertChanged | AlertRemoved,
    strawberry.union("AlertEvent", description="Something about an alert changed."),
]


@strawberry.type(description="The whole fleet in the view, as flat lists: join them by their ids.")
class InfrastructureSnapshot:
    clusters: list[Cluster] = strawberry.field(description="All clusters.")
    orchestrators: list[Orchestrator] = strawberry.field(description="All their orchestrators.")
    scalers: list[Scaler] = strawberry.field(description="All their scalers.")
    agents: list[Agent] = strawberry.field(description="All their agents that fulfil `where`.")
    alerts: list[Alert] = strawberry.field(description="All alerts that are open or acknowledged.")


@strawberry.type(description="The newest heartbeat of everybody in the view.")
class HeartbeatSnapshot:
    orchestrators: list[OrchestratorHeartbeat] = strawberry.field(description="All orchestrators.")
    agents: list[AgentHeartbeat] = strawberry.field(description="All agents that fulfil `where`.")


@strawberry.type(description="The alerts in the view.")
class AlertSnapshot:
    alerts: list[Alert] = strawberry.field(
        description="All alerts that fulfil `where`; without `where`, those that are open or acknowledged."
    )


_SNAPSHOT = "The state at `cursor`, in a SNAPSHOT or RESYNC; else null."
_EVENTS = "What happened, oldest first; empty unless `kind` is EVENTS."


@strawberry.type(description="One message of `infrastructure`.")
class InfrastructureFrame(Frame):
    snapshot: InfrastructureSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[InfrastructureEvent] = strawberry.field(description=_EVENTS)


@strawberry.type(description="One message of `heartbeats`.")
class HeartbeatFrame(Frame):
    snapshot: HeartbeatSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[HeartbeatEvent] = strawberry.field(description=_EVENTS)


@strawberry.type(description="One message of `alerts`.")
class AlertFrame(Frame):
    snapshot: AlertSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[AlertEvent] = strawberry.field(description=_EVENTS)
