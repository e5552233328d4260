"""Which scope a token needs for what. Scopes are not a ladder of roles by accident: the table is the rule."""

from kici_gql.tables import TokenScope

READERS = frozenset({TokenScope.VIEWER, TokenScope.OPERATOR, TokenScope.ADMIN})
"""Who may read an org. An orchestrator's token writes its own cluster's reports and reads nothing else."""
OPERATORS = frozenset({TokenScope.OPERATOR, TokenScope.ADMIN})
ADMINS = frozenset({TokenScope.ADMIN})
ORCHESTRATORS = frozenset({TokenScope.ORCHESTRATOR})

ACTIONS: dict[str, frozenset[TokenScope]] = {
    "orchestratorConnect": ORCHESTRATORS,
    "orchestratorHeartbeat": ORCHESTRATORS,
    "orchestratorReportInventory": ORCHESTRATORS,
    "orchestratorReportAlerts": ORCHESTRATORS,
    "orchestratorDisconnect": ORCHESTRATORS,
    "orchestratorReportWorkflows": ORCHESTRATORS,
    "orchestratorReportRuns": ORCHESTRATORS,
    "orchestratorReportLogs": ORCHESTRATORS,
    "orchestratorCompleteCommand": ORCHESTRATORS,
    "orchestratorReportSettings": ORCHESTRATORS,
    "clusterRename": OPERATORS,
    "secretBackendSync": OPERATORS,
    "secretBackendSyncAll": OPERATORS,
    "secretBackendTest": OPERATORS,
    "deadLetterRetry": OPERATORS,
    "deadLetterDiscard": OPERATORS,
    "workflowRunNow": OPERATORS,
    "workflowSetEnabled": OPERATORS,
    "workflowDelete": OPERATORS,
    "runCancel": OPERATORS,
    "runRerun": OPERATORS,
    "alertAcknowledge": OPERATORS,
    "tokenCreate": ADMINS,
    "tokenRevoke": ADMINS,
    "orgCreate": ADMINS,
}
"""Every mutation and who may call it; a test walks the schema and fails when one is missing here."""


def allowed(scope: TokenScope | None, action: str) -> bool:
    return scope in ACTIONS[action]
