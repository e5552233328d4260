// graphql-transport-ws over one WebSocket: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

const OPEN_MS = 8000;

/**
 * One connection, used once. `events`: `opened()`, `heard()` for every sign of life, and `closed({code, reason, opened})`
 * exactly once, at the end.
 */
export class SocketTransport {
  static label = "WebSocket";

  #events;
  #socket;
  #sinks = new Map();
  #opened = false;
  #closed = false;
  #deadline;

  constructor(events, { token } = {}) {
    this.#events = events;
    const socket = new WebSocket(new URL("/graphql", location.href.replace(/^http/, "ws")), "graphql-transport-ws");
    this.#socket = socket;
    this.#deadline = setTimeout(() => this.#end(1006, "it takes too long to connect"), OPEN_MS);
    const payload = token ? { authorization: `Bearer ${token}` } : undefined;
    socket.onopen = () => this.#send({ type: "connection_init", payload });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
  }

  subscribe(id, payload, sink) {
    this.#sinks.set(id, sink);
    this.#send({ id, type: "subscribe", payload });
  }

  unsubscribe(id) {
    if (this.#sinks.delete(id)) this.#send({ id, type: "complete" });
  }

  /** Ask for a sign of life. */
  ping() {
    this.#send({ type: "ping" });
  }

  close(reason = "") {
    this.#end(1000, reason);
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #receive(message) {
    if (this.#closed) return;
    this.#events.heard();
    const sink = this.#sinks.get(message.id);
    switch (message.type) {
      case "connection_ack":
        clearTimeout(this.#deadline);
        this.#opened = true;
        return this.#events.opened();
      case "ping":
        return this.#send({ type: "pong" });
      case "next":
        return sink?.next(message.payload);
      case "error":
        this.#sinks.delete(message.id);
        return sink?.failed(message.payload);
      case "complete":
        this.#sinks.delete(message.id);
        return sink?.completed();
    }
  }

  #end(code, reason) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    this.#socket.close();
    this.#events.closed({ code, reason, opened: this.#opened });
  }
}
