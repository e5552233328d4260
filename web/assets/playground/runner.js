// Running one operation: a query or mutation once, a subscription until it is stopped.

import { answerOf } from "../graphql/http.js";
import { EventStreamTransport } from "../graphql/event_stream.js";
import { SocketTransport } from "../graphql/socket.js";

/** The operations of a document: `{kind, name}`, good enough to offer a choice. The server is who parses. */
export function operationsOf(document) {
  const plain = document.replace(/#[^\n]*|"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"/g, (text) => " ".repeat(text.length));
  const found = [];
  let depth = 0;
  for (const [token, kind, name] of plain.matchAll(/\b(query|mutation|subscription)\b\s*(\w*)|\bfragment\b[^{]*|[{}]/g)) {
    if (token === "}") depth -= 1;
    else if (token === "{") {
      if (depth === 0 && !pending(found)) found.push({ kind: "query", name: "" });
      if (depth === 0) settle(found);
      depth += 1;
    } else if (depth === 0) found.push({ kind: kind ?? "fragment", name: name ?? "", open: true });
  }
  return found.filter((each) => each.kind !== "fragment").map(({ kind, name }) => ({ kind, name }));
}

const pending = (found) => found.at(-1)?.open;
const settle = (found) => found.length && delete found.at(-1).open;

/** One answer: `{status, ms, body}`. Raises RequestFailed or AbortError. */
export async function runOnce({ query, variables, operationName, token }, signal) {
  const began = performance.now();
  const { status, ...body } = await answerOf(query, variables, { token, signal, operationName });
  return { status, ms: performance.now() - began, body };
}

/** Stream the answers into `sink`: `next(answer)`, `ended(text, isProblem)`. Returns a function that stops it. */
export function runStream({ query, variables, operationName, token }, overSocket, sink) {
  let over = false;
  const end = (text, isProblem) => {
    if (over) return;
    over = true;
    transport.close();
    sink.ended(text, isProblem);
  };
  const Transport = overSocket ? SocketTransport : EventStreamTransport;
  const transport = new Transport(
    {
      opened: () =>
        transport.subscribe(
          "1",
          { query, variables, operationName },
          {
            next: (answer) => over || sink.next(answer),
            failed: (errors) => {
              sink.next({ errors });
              end("The server refused the operation.", true);
            },
            completed: () => end("The server completed the operation.", false),
          },
        ),
      heard() {},
      closed: ({ code, reason, opened }) => end(`${opened ? "The connection was closed" : "No connection"}: ${reason || "no reason given"} (code ${code})`, true),
    },
    { token },
  );
  return () => end("Stopped.", false);
}
