// What the pages ask of a cluster's own surfaces, and of its orchestrators about them.

import { ERROR_FIELDS } from "../graphql/http.js";

const BACKEND = `fragment backend on SecretBackend {
  id name type connected health scopes lastSyncAt lastError reportedAt cluster { id name }
}`;

/** Secret backends, and word of every surface that was reported anew. */
export const BACKENDS = `
subscription Backends($org: String!, $after: Cursor) {
  secretBackends(org: $org, after: $after) {
    kind cursor previousCursor at reason
    snapshot { secretBackends { ...backend } }
    events {
      __typename
      ... on SecretBackendChanged { secretBackend { ...backend } }
      ... on SecretBackendRemoved { id }
      ... on SurfaceChanged { clusterId surface }
      ... on ClusterConnectionChanged { clusterId clusterConnected }
    }
  }
}
${BACKEND}`;

/** One surface of one cluster. */
export function surfaceQuery(selection) {
  return `query Surface($org: String!, $name: String!) { org(slug: $org) { cluster(name: $name) { id ${selection} } } }`;
}

const asked = (name, input, success, more = "") => `
mutation Ask($input: ${input}!) {
  ${name}(input: $input) { __typename ... on ${success} { command { id state message } ${more} } ... on OperationDisabled { commandLine } ${ERROR_FIELDS} }
}`;

export const SYNC = asked("secretBackendSync", "SecretBackendInputRef", "SecretBackendSyncSuccess");
export const SYNC_ALL = asked("secretBackendSyncAll", "SecretBackendSyncAllInput", "SecretBackendSyncSuccess");
export const TEST = asked("secretBackendTest", "SecretBackendInputRef", "SecretBackendTestSuccess", "finished ok latencyMs error");
export const RETRY = asked("deadLetterRetry", "DeadLetterInputRef", "DeadLetterSuccess");
export const DISCARD = asked("deadLetterDiscard", "DeadLetterInputRef", "DeadLetterSuccess");

export const RENAME = `
mutation Rename($input: ClusterRenameInput!) {
  clusterRename(input: $input) {
    __typename
    ... on ClusterRenameSuccess { cluster { name pendingName } instructions { hostname line } }
    ${ERROR_FIELDS}
  }
}`;
