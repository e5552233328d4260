"""The program's enums as the API shows them, each value described. The package imports this before anything else."""

from collections.abc import Mapping
from enum import StrEnum

import strawberry

from kici_gql.errors import ErrorCode
from kici_gql.rules.labels import LabelKind
from kici_gql.rules.settings_reports import WriteState
from kici_gql.rules.workflows import InputType, SyncStatus
from kici_gql.tables import (
    AlertKind,
    AlertSeverity,
    AlertState,
    AuditOutcome,
    BackendHealth,
    CommandKind,
    CommandState,
    JobStatus,
    Liveness,
    OrchestratorRole,
    RunStatus,
    ScalerType,
    StepStatus,
    Surface,
    TokenScope,
)


class FrameKind(StrEnum):
    SNAPSHOT = "SNAPSHOT"
    EVENTS = "EVENTS"
    BOOKMARK = "BOOKMARK"
    RESYNC = "RESYNC"


class DeliveryClass(StrEnum):
    LOSSLESS = "LOSSLESS"
    COALESCED = "COALESCED"


def describe(enum: type[StrEnum], description: str, values: Mapping[StrEnum, str]) -> None:
    """Make the enum part of the API."""
    definition = strawberry.enum(enum, description=description).__strawberry_definition__  # type: ignore[attr-defined]
    texts = {member.value: text for member, text in values.items()}
    for value in definition.values:
        value.description = texts[value.value]


describe(
    FrameKind,
    "What a frame of a subscription is.",
    {
        FrameKind.SNAPSHOT: "The whole filtered state at `cursor`: the first frame of a stream without `after`.",
        FrameKind.EVENTS: "What happened since the frame before, oldest first.",
        FrameKind.BOOKMARK: "Nothing happened for up to 15 seconds; here is the position and the server's time.",
        FrameKind.RESYNC: "The stream can't go on from the position; `reason` says why, `snapshot` is the state now.",
    },
)
describe(
    DeliveryClass,
    "How an event type reaches a reader that is too slow.",
    {
        DeliveryClass.LOSSLESS: "Every event arrives, exactly once and in order.",
        DeliveryClass.COALESCED: "Several may arrive as one, the newest state; `folded` says for how many it stands.",
    },
)
describe(
    Liveness,
    "Whether somebody is there, judged by the server's clock alone.",
    {
        Liveness.ONLINE: "Heartbeats arrive in time.",
        Liveness.LATE: "Heartbeats were missed, by default two.",
        Liveness.LOST: "Gone without a goodbye: silent for long, by default 180 seconds, or its connection has ended.",
        Liveness.OFFLINE: "Said goodbye.",
        Liveness.NEVER_SEEN: "Reported by its orchestrator, but no heartbeat has arrived yet.",
    },
)
describe(
    OrchestratorRole,
    "Part an orchestrator plays in its cluster.",
    {
        OrchestratorRole.COORDINATOR: "Receives events and hands out jobs.",
        OrchestratorRole.WORKER: "Runs what coordinators hand it.",
    },
)
describe(
    ScalerType,
    "How a scaler provisions agents.",
    {
        ScalerType.CONTAINER: "As containers.",
        ScalerType.FIRECRACKER: "As Firecracker micro virtual machines.",
        ScalerType.BARE_METAL: "As processes on the host itself.",
        ScalerType.KUBERNETES: "As pods of a Kubernetes cluster.",
    },
)
describe(
    LabelKind,
    "Who set a label.",
    {LabelKind.USER: "A user.", LabelKind.AUTO: "KiCI itself: the label starts with `kici:`."},
)
describe(
    AlertKind,
    "What an alert is about.",
    {
        AlertKind.ORCHESTRATOR_DISCONNECTED: "An orchestrator went away without a goodbye.",
        AlertKind.AGENT_LOST: "An agent of a connected orchestrator is LOST.",
        AlertKind.CLUSTER_SILENT: "More than half of a cluster's agents, or of its orchestrators, are silent at once, and at least three.",
        AlertKind.SCALER_AT_CAPACITY: "A scaler runs all the agents it may while jobs wait.",
        AlertKind.VERSION_SKEW: "Connected orchestrators of one cluster run different versions.",
        AlertKind.NAME_COLLISION: "Connected orchestrators of one cluster name belong to different clusters.",
        AlertKind.BACKEND_UNHEALTHY: "A secret backend is unreachable or degraded.",
        AlertKind.DEAD_LETTERS_GROWING: "The dead-letter queue of a cluster grew between two reports.",
        AlertKind.REPORTED: "Reported by an orchestrator itself.",
    },
)
describe(
    BackendHealth,
    "How a secret backend is.",
    {
        BackendHealth.HEALTHY: "It answers.",
        BackendHealth.DEGRADED: "It answers, but not as it should.",
        BackendHealth.UNREACHABLE: "It does not answer.",
        BackendHealth.UNKNOWN: "Nobody has looked yet.",
    },
)
describe(
    WriteState,
    "What a cluster's operator says of a write from outside.",
    {
        WriteState.ALLOWED: "Allowed.",
        WriteState.SEALED_ONLY: "Allowed only with a value that is sealed for the orchestrator, which this server never opens.",
        WriteState.DISABLED: "Forbidden: it is done on the orchestrator's host.",
    },
)
describe(
    Surface,
    "Settings that a cluster's orchestrators alone hold.",
    {
        Surface.SECURITY_POLICY: "Security policy.",
        Surface.ENVIRONMENTS: "Environments.",
        Surface.SECRET_SCOPES: "Secret scopes.",
        Surface.DEAD_LETTERS: "Dead-letter queue.",
        Surface.GLOBAL_WORKFLOWS: "Global workflows.",
    },
)
describe(
    AlertSeverity,
    "How bad it is.",
    {
        AlertSeverity.CRITICAL: "Nothing runs until somebody acts.",
        AlertSeverity.WARNING: "Something runs worse than it should.",
        AlertSeverity.INFO: "Worth knowing.",
    },
)
describe(
    AlertState,
    "Where an alert is in its life.",
    {
        AlertState.OPEN: "The problem is there and nobody has taken it on.",
        AlertState.ACKNOWLEDGED: "The problem is there and somebody has taken it on.",
        AlertState.RESOLVED: "The problem is gone.",
    },
)
describe(
    TokenScope,
    "What a token may do.",
    {
        TokenScope.VIEWER: "Read its org.",
        TokenScope.OPERATOR: "Read its org and act on what is there, such as acknowledging alerts.",
        TokenScope.ADMIN: "All of that, and create and revoke tokens.",
        TokenScope.ORCHESTRATOR: "Report as an orchestrator, of one cluster if it is bound to it. It reads nothing.",
    },
)
describe(
    AuditOutcome,
    "How a mutation ended.",
    {AuditOutcome.SUCCEEDED: "It was done.", AuditOutcome.REFUSED: "It was refused; `errorCode` says why."},
)
describe(
    RunStatus,
    "How a run is going, in KiCI's words.",
    {
        RunStatus.PENDING: "Queued, or about to be.",
        RunStatus.HELD: "Waits for somebody's approval.",
        RunStatus.RUNNING: "At least one job has started.",
        RunStatus.CANCELLING: "Somebody cancelled it; jobs are ending.",
        RunStatus.SUCCESS: "Ended well.",
        RunStatus.FAILED: "Ended badly.",
        RunStatus.CANCELLED: "Ended because somebody cancelled it.",
    },
)
describe(
    JobStatus,
    "How a job is going, in KiCI's words.",
    {
        JobStatus.PENDING: "Waits for other jobs.",
        JobStatus.QUEUED: "Waits for an agent.",
        JobStatus.RUNNING: "Runs on an agent.",
        JobStatus.RECOVERING: "Its agent went away and may come back.",
        JobStatus.CANCELLING: "Somebody cancelled it; it is ending.",
        JobStatus.SUCCESS: "Ended well.",
        JobStatus.FAILED: "Ended badly.",
        JobStatus.CANCELLED: "Ended because somebody cancelled it.",
        JobStatus.SKIPPED: "Was not run.",
        JobStatus.TIMED_OUT_STALE: "Waited too long.",
        JobStatus.DRIFT_DROPPED: "Dropped, because what it was to change had changed meanwhile.",
    },
)
describe(
    StepStatus,
    "How a step is going, in KiCI's words.",
    {
        StepStatus.PENDING: "Has not started.",
        StepStatus.RUNNING: "Runs.",
        StepStatus.SUCCESS: "Ended well.",
        StepStatus.FAILED: "Ended badly.",
        StepStatus.SKIPPED: "Was not run.",
        StepStatus.CANCELLED: "Ended because somebody cancelled the run.",
    },
)
describe(
    CommandKind,
    "What is asked of an orchestrator.",
    {
        CommandKind.RUN_NOW: "Run a workflow.",
        CommandKind.SET_ENABLED: "Enable or disable a workflow.",
        CommandKind.DELETE: "Delete a workflow.",
        CommandKind.CANCEL: "Cancel a run.",
        CommandKind.RERUN: "Run a run again.",
        CommandKind.RENAME: "Use another cluster name from the next connect on.",
        CommandKind.BACKEND_SYNC: "Read a secret backend anew.",
        CommandKind.BACKEND_SYNC_ALL: "Read all secret backends anew.",
        CommandKind.BACKEND_TEST: "Try to reach a secret backend.",
        CommandKind.DEAD_LETTER_RETRY: "Send a dead letter again.",
        CommandKind.DEAD_LETTER_DISCARD: "Throw a dead letter away.",
    },
)
describe(
    CommandState,
    "Where a command is in its life.",
    {
        CommandState.PENDING: "Waits for its orchestrator.",
        CommandState.DELIVERED: "Was sent to its orchestrator, which has not answered yet.",
        CommandState.SUCCEEDED: "The orchestrator did it.",
        CommandState.FAILED: "The orchestrator could not do it; `message` says why.",
        CommandState.EXPIRED: "The orchestrator did not answer in time.",
    },
)
describe(
    SyncStatus,
    "How the reported registry relates to the one that the orchestrator has.",
    {
        SyncStatus.IN_SYNC: "They are the same.",
        SyncStatus.SYNCING: "A newer version is on its way, or the first.",
        SyncStatus.STALE: "Nobody is connected who could report, or a newer version is overdue.",
        SyncStatus.ERROR: "The orchestrator could not read its own registry.",
    },
)
describe(
    InputType,
    "What values an input takes.",
    {
        InputType.STRING: "Any text.",
        InputType.NUMBER: "A number.",
        InputType.BOOLEAN: "`true` or `false`.",
        InputType.CHOICE: "One of the options.",
    },
)
describe(
    ErrorCode,
    "Stable names of what can go wrong.",
    {
        ErrorCode.UNAUTHENTICATED: "No token, or one that is unknown, expired or revoked.",
        ErrorCode.FORBIDDEN: "The token's scope, org or cluster does not allow it.",
        ErrorCode.INVALID_INPUT: "A value is missing, malformed or out of bounds; `path` says which.",
        ErrorCode.NOT_FOUND: "Nothing of that name or id in this org.",
        ErrorCode.UNKNOWN_CONNECTION: "No orchestrator is connected with that connection id: connect again.",
        ErrorCode.RENAMED: "It has another name now; `hint` says which.",
        ErrorCode.OPERATION_DISABLED: "The cluster's own operator does not allow it from outside.",
        ErrorCode.CONFLICT: "The present state does not allow it.",
        ErrorCode.NAME_TAKEN: "Another object of this org has that name.",
        ErrorCode.VERSION_CONFLICT: "Somebody changed the object since it was read.",
        ErrorCode.IDEMPOTENCY_CONFLICT: "The idempotency key was used with another input.",
        ErrorCode.CLUSTER_DISCONNECTED: "The cluster's orchestrators hold the answer and none is connected.",
        ErrorCode.LIMIT_EXCEEDED: "A limit was reached; the message names it.",
        ErrorCode.UNAVAILABLE: "The server can't do it now; the same request may work later.",
        ErrorCode.INTERNAL: "A fault of the server; its log has the request id.",
    },
)
