// What the pages ask about secret backends, and of orchestrators.

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

/** A mutation that an orchestrator has to carry out. */
export const asked = (name, input, more = "") => `
mutation Ask($input: ${input}!) {
  ${name}(input: $input) { __typename ... on Asked { cursor command { id state message } } ${more} ... on OperationDisabled { commandLine } ${ERROR_FIELDS} }
}`;

export const SYNC = asked("secretBackendSync", "SecretBackendInputRef");
export const SYNC_ALL = asked("secretBackendSyncAll", "SecretBackendSyncAllInput");
export const TEST = asked("secretBackendTest", "SecretBackendInputRef", "... on SecretBackendTestSuccess { finished ok latencyMs error }");
