// What one can start from, for the viewer’s org. A test runs each of them against a server.

export const EXAMPLES = [
  {
    title: "The fleet as one tree",
    document: (org) => `query Fleet {
  org(slug: "${org}") {
    cursor
    clusters {
      nodes {
        name connected
        orchestrators {
          nodes {
            displayId role liveness { state reason }
            scalers {
              nodes {
                name type activeAgents maxAgents
                agents(first: 5) { nodes { agentId liveness { state } memoryUsedMb } }
              }
            }
          }
        }
      }
    }
  }
}
`,
  },
  {
    title: "Heartbeats, live",
    document: (org) => `subscription Heartbeats($after: Cursor) {
  heartbeats(org: "${org}", after: $after) {
    kind cursor previousCursor at
    events {
      __typename
      ... on AgentHeartbeat { agentId liveness memoryUsedMb activeJobs folded }
      ... on OrchestratorHeartbeat { displayId liveness memoryUsedMb runningJobs folded }
    }
  }
}
`,
  },
  {
    title: "Changes of the fleet, live",
    document: (org) => `subscription Changes($after: Cursor) {
  infrastructure(org: "${org}", after: $after) {
    kind cursor previousCursor at reason
    snapshot { clusters { name } agents { agentId liveness { state } } }
    events {
      __typename
      ... on AgentChanged { agent { agentId liveness { state reason } } }
      ... on OrchestratorChanged { orchestrator { displayId connected liveness { state reason } } }
      ... on AlertChanged { alert { severity state message } }
    }
  }
}
`,
  },
  {
    title: "Open alerts",
    document: (org) => `query Alerts {
  org(slug: "${org}") {
    alerts(where: { state: [OPEN, ACKNOWLEDGED] }, orderBy: { field: OPENED_AT, direction: DESC }) {
      totalCount
      nodes { id severity kind state message openedAt flapCount acknowledgement { by note until } }
    }
  }
}
`,
  },
  {
    title: "Runs, live",
    document: (org) => `subscription Runs($after: Cursor) {
  runs(org: "${org}", after: $after) {
    kind cursor previousCursor at
    snapshot { runs { externalId workflowName status queuedAt durationMs } }
    events {
      __typename
      ... on RunChanged { run { externalId workflowName status } }
      ... on JobChanged { job { name status } }
      ... on StepChanged { step { name status exitCode } }
    }
  }
}
`,
  },
  {
    title: "Who am I?",
    document: () => `query WhoAmI {
  viewer { tokenName scope expiresAt org { slug name } }
  serverInfo { version time database heartbeatIntervalSeconds }
}
`,
  },
];
