// What the settings ask of the org: its tokens, and its audit log. Neither has a stream.

import { ERROR_FIELDS } from "../graphql/http.js";

const TOKEN = "fragment token on Token { id name prefix scope clusterName createdAt expiresAt lastUsedAt revokedAt }";

export const TOKENS = `query Tokens($org: String!) { org(slug: $org) { tokens { ...token } clusters(first: 100) { nodes { name } } } } ${TOKEN}`;

export const TOKEN_CREATE = `
mutation CreateToken($input: TokenCreateInput!) {
  tokenCreate(input: $input) { __typename ... on TokenCreateSuccess { secret token { ...token } } ${ERROR_FIELDS} }
}
${TOKEN}`;

export const TOKEN_REVOKE = `
mutation RevokeToken($input: TokenRevokeInput!) {
  tokenRevoke(input: $input) { __typename ... on TokenRevokeSuccess { token { id } } ${ERROR_FIELDS} }
}`;

export const AUDIT = `
query Audit($org: String!, $where: AuditWhere, $after: String) {
  org(slug: $org) {
    auditLog(first: 50, where: $where, after: $after) {
      pageInfo { endCursor hasNextPage }
      nodes { id action at detail errorCode objectId outcome requestId tokenId tokenName }
    }
  }
}`;

/** What the entries are about, as far as it still exists. */
export const SUBJECTS = `
query Subjects($ids: [ID!]!) {
  nodes(ids: $ids) {
    id __typename
    ... on Workflow { title: name }
    ... on Run { title: workflowName externalId }
    ... on Cluster { title: name }
    ... on Token { title: name }
    ... on Alert { title: message }
    ... on SecretBackend { title: name }
    ... on Orchestrator { title: displayId }
  }
}`;
