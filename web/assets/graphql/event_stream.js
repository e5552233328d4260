// GraphQL over server-sent events, for networks that let no WebSocket through: one response per subscription, the same
// frames. `fetch` and not EventSource, which can't say why it was refused.

/** The same shape as SocketTransport. */
export class EventStreamTransport {
  static label = "event stream";

  #events;
  #token;
  #running = new Map();
  #closed = false;

  constructor(events, { token } = {}) {
    this.#events = events;
    this.#token = token;
    queueMicrotask(() => this.#closed || events.opened());
  }

  subscribe(id, payload, sink) {
    const abort = new AbortController();
    this.#running.set(id, abort);
    this.#run(id, payload, sink, abort.signal).catch((error) => {
      if (!abort.signal.aborted) this.#end(1006, error.message);
    });
  }

  unsubscribe(id) {
    this.#running.get(id)?.abort();
    this.#running.delete(id);
  }

  /** The server sends a comment every 12 s by itself; there is nothing to ask. */
  ping() {}

  close(reason = "") {
    this.#end(1000, reason);
  }

  async #run(id, payload, sink, signal) {
    const response = await fetch("/graphql", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "text/event-stream",
        "x-kici-csrf": "1",
        ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
      },
      body: JSON.stringify(payload),
      signal,
    });
    if (response.status === 401 || response.status === 403) return this.#end(4403, "the session has ended");
    if (!response.ok) return this.#refused(id, sink, response);
    for await (const event of eventsOf(response.body, () => this.#events.heard())) {
      if (signal.aborted) return undefined;
      if (event.type === "complete") return this.#completed(id, sink);
      const answer = JSON.parse(event.data);
      if (answer.errors && !answer.data) return this.#failed(id, sink, answer.errors);
      sink.next(answer);
    }
    return this.#end(1012, "the server ended the stream");
  }

  async #refused(id, sink, response) {
    if (response.status >= 500) return this.#end(1013, `the server answered with status ${response.status}`);
    const { errors } = await response.json();
    return this.#failed(id, sink, errors);
  }

  #failed(id, sink, errors) {
    this.#running.delete(id);
    const ended = { TOKEN_REVOKED: 4410, TOKEN_EXPIRED: 4411 }[errors[0]?.extensions?.code];
    if (ended) this.#end(ended, errors[0].message);
    else sink.failed(errors);
  }

  #completed(id, sink) {
    this.#running.delete(id);
    sink.completed();
  }

  #end(code, reason) {
    if (this.#closed) return;
    this.#closed = true;
    for (const abort of this.#running.values()) abort.abort();
    this.#events.closed({ code, reason, opened: true });
  }
}

/** The events of a response: `{type, data}`. Comments count as signs of life and are not given out. */
async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = eventOf(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(block) {
  let type = null;
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) type = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return type && { type, data: data.join("\n") };
}
