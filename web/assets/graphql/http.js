// Queries and mutations: one POST each, with the session's cookie.

/** The server, or the way to it, said no. `code` is an ErrorCode of the schema, or NETWORK. */
export class RequestFailed extends Error {
  constructor(message, { code = "INTERNAL", hint = null, status = 0, retryable = false } = {}) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
    this.retryable = retryable;
  }
}

/** The answer of one operation, errors and all; raises RequestFailed only when there is none. */
export async function answerOf(query, variables, { signal, token, operationName } = {}) {
  let response;
  try {
    response = await fetch("/graphql", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/graphql-response+json, application/json;q=0.9",
        // A page of another origin can't send this one, so a mutation with our cookie is ours.
        "x-kici-csrf": "1",
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      body: JSON.stringify({ query, variables, operationName }),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestFailed("The server can’t be reached.", { code: "NETWORK", retryable: true });
  }
  try {
    return { status: response.status, ...(await response.json()) };
  } catch {
    throw new RequestFailed(`The server answered with status ${response.status} and no JSON.`, {
      status: response.status,
      retryable: response.status >= 500,
    });
  }
}

/** The data of one operation. Raises RequestFailed. */
export async function request(query, variables = {}, options = {}) {
  const answer = await answerOf(query, variables, options);
  const [error] = answer.errors ?? [];
  if (!error) return answer.data;
  const { code, hint, retryable } = error.extensions ?? {};
  throw new RequestFailed(error.message, { code, hint, retryable, status: answer.status });
}

/** The payload of a mutation with one root field. Its typed errors are raised as RequestFailed like the others. */
export async function mutate(query, variables) {
  const [payload] = Object.values(await request(query, variables));
  if (payload.code) {
    // Forbidden from outside, but not on the orchestrator's own host.
    const hint = payload.commandLine ? `On the orchestrator’s host: ${payload.commandLine}` : payload.hint;
    throw new RequestFailed(payload.message, { ...payload, hint });
  }
  return payload;
}

/** What a mutation selects of its typed errors, so that `mutate` recognises them. */
export const ERROR_FIELDS = "... on Error { code message hint path retryable }";

/** A key that makes one click of the user's safe to send twice. */
export function idempotencyKey() {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
}
