// What the page asks of the fleet.

export const INFRASTRUCTURE = `
subscription Infrastructure($org: String!, $after: Cursor) {
  infrastructure(org: $org, after: $after) {
    kind cursor previousCursor at reason
    snapshot {
      clusters { ...cluster } orchestrators { ...orchestrator } scalers { ...scaler } agents { ...agent } alerts { ...alert }
    }
    events {
      __typename
      ... on ClusterChanged { cluster { ...cluster } }
      ... on OrchestratorChanged { orchestrator { ...orchestrator } }
      ... on ScalerChanged { scaler { ...scaler } }
      ... on AgentChanged { agent { ...agent } }
      ... on AlertChanged { alert { ...alert } }
      ... on OrchestratorRemoved { id }
      ... on ScalerRemoved { id }
      ... on AgentRemoved { id }
      ... on AlertRemoved { id }
    }
  }
}
fragment cluster on Cluster {
  id name autoNamed pendingName connected mode version versions routingKeys lastHeartbeatAt createdAt
}
fragment orchestrator on Orchestrator {
  id displayId instanceId connectionId shortConnectionId connected connectedAt disconnectedAt role mode version hostname
  runningAs platform arch cpuCount memoryUsedMb memoryTotalMb uptimeSeconds runningJobs queuedJobs lastHeartbeatAt
  clockSkewMs routingKeys capabilities liveness { state reason since missedBeats } cluster { id }
}
fragment scaler on Scaler {
  id name type activeAgents maxAgents hosts labels { name kind } configSummary { key value } orchestrator { id }
}
fragment agent on Agent {
  id agentId platform arch version hostname runningAs cpuCount memoryUsedMb memoryTotalMb uptimeSeconds activeJobs
  maxConcurrency paused firstSeenAt lastHeartbeatAt labels { name kind } liveness { state reason since missedBeats }
  scaler { id } orchestrator { id }
}
fragment alert on Alert {
  id kind severity state message openedAt updatedAt flapCount version clusterId subjectId acknowledgement { by at note until }
}`;

export const HEARTBEATS = `
subscription Heartbeats($org: String!, $after: Cursor) {
  heartbeats(org: $org, after: $after) {
    kind cursor previousCursor at reason
    snapshot { orchestrators { ...orchestrator } agents { ...agent } }
    events { __typename ... on OrchestratorHeartbeat { ...orchestrator } ... on AgentHeartbeat { ...agent } }
  }
}
fragment orchestrator on OrchestratorHeartbeat {
  orchestratorId lastHeartbeatAt memoryUsedMb memoryTotalMb uptimeSeconds runningJobs queuedJobs
}
fragment agent on AgentHeartbeat {
  id beatAt: lastHeartbeatAt memoryUsedMb memoryTotalMb uptimeSeconds activeJobs maxConcurrency paused
}`;
