"""Fields whose values change only together with the org's position: the encoded answer may be kept until it moves.

Not in the list: whatever asks the clock (`heartbeatAgeSeconds`, `serverInfo`, metrics over a window), the caller
(`viewer`) or an orchestrator, and what changes without an event (audit, tokens, `missedBeats`). A field that is
missing here costs speed; one that is here wrongly costs truth.
"""

_FIELDS = {
    "Query": "org orgs",
    "Org": "id slug name createdAt cursor cluster clusters orchestrators scalers agents alerts",
    "Cluster": "id name autoNamed pendingName createdAt revision connected versions version mode routingKeys "
    "lastHeartbeatAt orchestrators scalers agents alerts",
    "Orchestrator": "id instanceId connectionId role version mode hostname runningAs platform arch cpuCount "
    "memoryUsedMb memoryTotalMb uptimeSeconds routingKeys capabilities registryVersion runningJobs queuedJobs "
    "connectedAt disconnectedAt lastHeartbeatAt clockSkewMs displayId shortConnectionId connected liveness cluster "
    "scalers agents statefulAgents",
    "Scaler": "id name type activeAgents maxAgents hosts labels configSummary orchestrator agents",
    "Agent": "id agentId version hostname runningAs platform arch cpuCount memoryUsedMb memoryTotalMb uptimeSeconds "
    "activeJobs maxConcurrency paused firstSeenAt lastHeartbeatAt liveness labels scaler orchestrator cluster",
    "Alert": "id kind severity state message clusterId subjectId openedAt updatedAt resolvedAt flapCount version "
    "acknowledgement",
    "Acknowledgement": "by at note until",
    "LivenessInfo": "state reason since",
    "Label": "name kind",
    "ConfigEntry": "key value",
    "PageInfo": "hasNextPage hasPreviousPage startCursor endCursor",
}
_LISTED = ("Cluster", "Orchestrator", "Scaler", "Agent", "Alert")

STABLE = frozenset(
    [f"{type_}.{field}" for type_, fields in _FIELDS.items() for field in fields.split()]
    + [
        f"{type_}Connection.{field}"
        for type_ in _LISTED
        for field in ("edges", "nodes", "pageInfo", "totalCount")
    ]
    + [f"{type_}Edge.{field}" for type_ in _LISTED for field in ("cursor", "node")]
)
