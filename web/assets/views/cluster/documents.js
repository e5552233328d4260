// What a cluster's page asks: its surfaces one by one, and of its orchestrators about them.

import { ERROR_FIELDS } from "../../graphql/http.js";
import { asked } from "../../clusters/documents.js";

/** One surface of one cluster. */
export function surfaceQuery(selection) {
  return `query Surface($org: String!, $name: String!) { org(slug: $org) { cluster(name: $name) { id ${selection} } } }`;
}

export const RETRY = asked("deadLetterRetry", "DeadLetterInputRef");
export const DISCARD = asked("deadLetterDiscard", "DeadLetterInputRef");

export const RENAME = `
mutation Rename($input: ClusterRenameInput!) {
  clusterRename(input: $input) {
    __typename
    ... on ClusterRenameSuccess { cluster { name pendingName } instructions { hostname line } }
    ${ERROR_FIELDS}
  }
}`;
