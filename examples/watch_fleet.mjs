// Watch agents from Node with the npm package graphql-ws, resuming by cursor after a drop.
//
//   npm install graphql-ws          (Node 22 has a WebSocket of its own; an older one needs `npm install ws` too)
//   KICI_GQL_TOKEN=kgq_… node examples/watch_fleet.mjs
//
// KICI_GQL_URL is the server (http://127.0.0.1:8080), KICI_GQL_ORG the org (default).

import { createClient } from "graphql-ws";

const { KICI_GQL_TOKEN: token, KICI_GQL_URL: url = "http://127.0.0.1:8080", KICI_GQL_ORG: org = "default" } = process.env;
if (!token) {
  console.error("set KICI_GQL_TOKEN to a token that may read (scope viewer)");
  process.exit(2);
}

const query = /* GraphQL */ `
  subscription Watch($org: String!, $after: Cursor) {
    infrastructure(org: $org, after: $after) {
      kind cursor previousCursor at reason
      snapshot { agents { ...agent } alerts { ...alert } }
      events {
        __typename
        ... on AgentChanged { agent { ...agent } }
        ... on AgentRemoved { id }
        ... on AlertChanged { alert { ...alert } }
      }
    }
  }
  fragment agent on Agent { id agentId liveness { state reason } cluster { name } }
  fragment alert on Alert { severity state message }
`;

// The token is refused, revoked or expired, or the operation is wrong: another try would end the same way.
const FINAL_CLOSE_CODES = new Set([4400, 4401, 4403, 4410, 4411]);

const client = createClient({
  url: `${url.replace(/^http/, "ws").replace(/\/$/, "")}/graphql`,
  webSocketImpl: globalThis.WebSocket ?? (await import("ws")).WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  // graphql-ws would send the old variables again after a reconnect, with the old cursor; so we resume ourselves.
  retryAttempts: 0,
});

/** All frames, for ever; each connection goes on behind the last frame of the one before. */
async function* frames() {
  let after = null;
  for (let failures = 0; ; failures++) {
    try {
      for await (const { data, errors } of client.iterate({ query, variables: { org, after } })) {
        if (errors) throw Object.assign(new Error(errors[0].message), { final: !errors[0].extensions?.retryable });
        failures = 0;
        yield data.infrastructure;
        after = data.infrastructure.cursor;
      }
    } catch (error) {
      const refused = Array.isArray(error) && !error[0]?.extensions?.retryable; // an `error` message
      if (refused || error.final || FINAL_CLOSE_CODES.has(error.code)) throw Array.isArray(error) ? error[0] : error;
      console.error(`-- lost the connection (${error.reason || error.message || error.code || "unknown"})`);
    }
    const wait = Math.min(20_000, 500 * 2 ** Math.min(failures, 10));
    await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
  }
}

const names = new Map(); // by id: whoever is removed is told by its id alone

function show(time, agent) {
  names.set(agent.id, agent.agentId);
  console.log(time, `${agent.cluster.name}: agent ${agent.agentId} is ${agent.liveness.state} (${agent.liveness.reason})`);
}

const warn = (time, alert) => console.log(time, `alert ${alert.state}: ${alert.severity} ${alert.message}`);

try {
  for await (const frame of frames()) {
    const time = frame.at.slice(11, 19);
    for (const agent of frame.snapshot?.agents ?? []) show(time, agent);
    for (const alert of frame.snapshot?.alerts ?? []) warn(time, alert);
    for (const event of frame.events) {
      if (event.__typename === "AgentChanged") show(time, event.agent);
      if (event.__typename === "AgentRemoved" && names.has(event.id)) console.log(time, `agent ${names.get(event.id)} was removed`);
      if (event.__typename === "AlertChanged") warn(time, event.alert);
    }
  }
} catch (error) {
  console.error(`watch_fleet: ${error.reason || error.message || error.code}`);
  process.exit(1);
}
