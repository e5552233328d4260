// Who is signed in. The token itself is in a cookie that no script can read.

import { request, RequestFailed } from "./graphql/http.js";

/** What people may do; the server says which of it the viewer may, and why not. The rest is done by orchestrators. */
export const ACTIONS = [
  "alertAcknowledge",
  "workflowRunNow",
  "workflowSetEnabled",
  "workflowDelete",
  "runCancel",
  "runRerun",
  "clusterRename",
  "secretBackendSync",
  "secretBackendSyncAll",
  "secretBackendTest",
  "deadLetterRetry",
  "deadLetterDiscard",
  "tokenCreate",
  "tokenRevoke",
  "orgCreate",
];

const VIEWER = `{
  viewer {
    scope tokenId tokenName expiresAt org { slug name }
    ${ACTIONS.map((action) => `${action}: can(action: "${action}") { allowed reason scopes }`).join("\n    ")}
  }
  serverInfo { version time }
}`;

/** `{viewer, org, server}`, or null when nobody is signed in. Raises RequestFailed when the server can't say. */
export async function currentSession() {
  let data;
  try {
    data = await request(VIEWER);
  } catch (error) {
    if (error.code === "UNAUTHENTICATED" || error.status === 401) return null;
    throw error;
  }
  const { viewer, serverInfo } = data;
  return viewer.org ? { viewer, org: viewer.org, server: serverInfo } : null;
}

/** Exchange a token for a session. Raises RequestFailed with what is wrong with it. */
export function signIn(token) {
  return exchange({ token });
}

/** Make the org of this slug the one that is shown, if this browser is signed in to it. Raises RequestFailed. */
export function switchOrg(slug) {
  return exchange({ org: slug });
}

/** Slugs of the orgs that this browser is signed in to. */
export async function signedIn() {
  const response = await send("GET");
  return response.ok ? (await response.json()).orgs : [];
}

async function exchange(credentials) {
  const response = await send("POST", JSON.stringify(credentials));
  if (response.ok) return response.json();
  const { error } = await response.json().catch(() => ({ error: `the server answered with status ${response.status}` }));
  throw new RequestFailed(error, { status: response.status });
}

export async function signOut() {
  await send("DELETE");
}

async function send(method, body) {
  try {
    return await fetch("/session", { method, body, headers: { "content-type": "application/json", "x-kici-csrf": "1" } });
  } catch {
    throw new RequestFailed("The server can’t be reached.", { code: "NETWORK" });
  }
}
