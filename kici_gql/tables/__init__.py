"""The rows. Declarations only: every statement is in `store`, every rule in `rules`.

A row that can change carries `revision`, which grows with each change a user would notice.
"""

from kici_gql.tables.access import Audit, Idempotency, Org, Token
from kici_gql.tables.columns import table_of
from kici_gql.tables.fleet import (
    Agent,
    AgentFigures,
    AgentRecord,
    Cluster,
    FormerName,
    Orchestrator,
    Question,
    ReportedSurface,
    Scaler,
    SecretBackend,
)
from kici_gql.tables.ids import Prefix, new_id, new_serial
from kici_gql.tables.log import Alert, LogEntry
from kici_gql.tables.runs import Job, JobFigures, LogChunk, Run, RunBucket, Step
from kici_gql.tables.workflows import Command, Registry, Workflow
from kici_gql.words import (
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

__all__ = [
    "Agent",
    "AgentFigures",
    "AgentRecord",
    "Alert",
    "AlertKind",
    "AlertSeverity",
    "AlertState",
    "Audit",
    "AuditOutcome",
    "BackendHealth",
    "Cluster",
    "Command",
    "CommandKind",
    "CommandState",
    "FormerName",
    "Idempotency",
    "Job",
    "JobFigures",
    "JobStatus",
    "Liveness",
    "LogChunk",
    "LogEntry",
    "Orchestrator",
    "OrchestratorRole",
    "Org",
    "Prefix",
    "Question",
    "Registry",
    "ReportedSurface",
    "Run",
    "RunBucket",
    "RunStatus",
    "Scaler",
    "ScalerType",
    "SecretBackend",
    "Step",
    "StepStatus",
    "Surface",
    "Token",
    "TokenScope",
    "Workflow",
    "new_id",
    "new_serial",
    "table_of",
]
