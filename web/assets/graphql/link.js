// The connection that all streams of the page share. It reconnects, falls back from WebSocket to event streams, resumes
// every stream by its cursor, and always knows what to tell the user about itself.

import { request } from "./http.js";
import { SocketTransport } from "./socket.js";

const FIRST_WAIT_MS = 400;
const MOST_WAIT_MS = 10_000;
/** A stream brings a frame at least every 15 s. Later than that we ask; later still we give the connection up. */
const ASK_AFTER_MS = 20_000;
const DEAD_AFTER_MS = 27_000;
const WATCH_MS = 2000;
/** How long the answer to a ping may take once the machine says that it has no network. */
const DOUBT_MS = 2000;
/** So many sockets that never opened, while plain requests get through, mean that something in between blocks them. */
const BLOCKED_SOCKETS = 2;

const ENDED = {
  4401: "The session has ended.",
  4403: "The session has ended.",
  4410: "The token of this session was revoked.",
  4411: "The token of this session has expired.",
};

const REASONS = {
  1006: "the server can’t be reached",
  1012: "the server is restarting",
};

/** Phases: `connecting`, `live`, `waiting` (for the next try), `ended` (the session is over). */
export class Link {
  phase = "connecting";
  /** Why there is no connection, in words. */
  reason = "";
  /** When the next try is due, by `performance.now()`. */
  retryAt = null;

  #clock;
  #listeners = new Set();
  #streams = new Map();
  #transport = null;
  #kind = SocketTransport;
  #heardAt = 0;
  #failures = 0;
  #blocked = 0;
  #timer = null;
  #nextId = 1;

  constructor(clock) {
    this.#clock = clock;
    setInterval(() => this.#watch(), WATCH_MS);
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.#doubt());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
  }

  get transport() {
    return this.#kind.label;
  }

  /** How old the oldest stream's newest news are, in ms; null before anything came. */
  get dataAge() {
    const heard = [...this.#streams.keys()].filter((stream) => !stream.problem).map((stream) => stream.heardAt);
    if (!heard.length || heard.includes(null)) return null;
    return performance.now() - Math.min(...heard);
  }

  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Keep a stream running until the returned function is called. */
  open(stream) {
    this.#streams.set(stream, null);
    if (this.phase === "live") this.#subscribe(stream);
    return () => {
      const id = this.#streams.get(stream);
      this.#streams.delete(stream);
      if (id) this.#transport?.unsubscribe(id);
    };
  }

  connect() {
    clearTimeout(this.#timer);
    this.retryAt = null;
    this.#to("connecting");
    const events = {
      opened: () => transport === this.#transport && this.#opened(),
      heard: () => (this.#heardAt = performance.now()),
      closed: (end) => transport === this.#transport && this.#closed(end),
    };
    this.#heardAt = performance.now();
    const transport = new this.#kind(events);
    this.#transport = transport;
  }

  /** Don't wait any longer. */
  retry() {
    if (this.phase === "waiting") this.connect();
  }

  /** The user leaves. */
  end(reason = "") {
    clearTimeout(this.#timer);
    const transport = this.#transport;
    this.#transport = null;
    transport?.close();
    this.#lost(reason);
    this.reason = reason;
    this.#to("ended");
  }

  #opened() {
    this.#failures = 0;
    this.#blocked = 0;
    this.reason = "";
    this.#clock.start();
    this.#to("live");
    for (const stream of this.#streams.keys()) this.#subscribe(stream);
  }

  #subscribe(stream) {
    if (stream.problem) return;
    const id = String(this.#nextId++);
    this.#streams.set(stream, id);
    const current = () => this.#streams.get(stream) === id;
    const again = (ms) => setTimeout(() => current() && this.phase === "live" && this.#subscribe(stream), ms);
    this.#transport.subscribe(id, stream.payload, {
      next: (answer) => current() && this.#next(stream, id, answer),
      failed: (errors) => {
        if (!current()) return;
        if (errors[0]?.extensions?.retryable) again(MOST_WAIT_MS / 4);
        else this.#fail(stream, errors);
      },
      completed: () => current() && again(FIRST_WAIT_MS),
    });
  }

  #next(stream, id, answer) {
    if (!answer.data) return this.#fail(stream, answer.errors ?? []);
    const [frame] = Object.values(answer.data);
    this.#clock.heard(frame.at);
    if (stream.receive(frame)) return undefined;
    this.#transport.unsubscribe(id);
    return this.#subscribe(stream);
  }

  #fail(stream, errors) {
    stream.problem = errors;
    stream.failed(errors);
    this.#tell();
  }

  #closed({ code, reason, opened }) {
    this.#transport = null;
    if (ENDED[code]) {
      this.#lost(ENDED[code]);
      return this.#to("ended");
    }
    this.#lost(REASONS[code] ?? reason ?? "");
    this.#wait();
    if (!opened) this.#findOut();
    return undefined;
  }

  #lost(reason) {
    this.#clock.stop();
    this.reason = reason || "the connection was lost";
    for (const stream of this.#streams.keys()) this.#streams.set(stream, null);
  }

  #wait() {
    // Half of the wait is fixed and half drawn, so that many pages don't come back in step.
    const wait = Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures++, 10)) * (0.5 + Math.random() / 2);
    this.retryAt = performance.now() + wait;
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#to("waiting");
  }

  /** A socket that never opened tells no reason. A plain request does. */
  async #findOut() {
    try {
      const { viewer } = await request("{ viewer { org { id } } }");
      if (!viewer.org) return this.end(ENDED[4403]);
      this.reason = "the network lets no WebSocket through";
      this.#blocked += 1;
      if (this.#blocked >= BLOCKED_SOCKETS) this.#kind = (await import("./event_stream.js")).EventStreamTransport;
    } catch (error) {
      if (error.code === "UNAUTHENTICATED") return this.end(ENDED[4403]);
      this.reason = error.code === "NETWORK" ? REASONS[1006] : error.message;
      this.#kind = SocketTransport;
    }
    return this.#tell();
  }

  #watch() {
    if (this.phase !== "live" || this.#streams.size === 0) return;
    const silent = performance.now() - this.#heardAt;
    if (silent > DEAD_AFTER_MS) this.#transport.close(`nothing came for ${Math.round(silent / 1000)} s`);
    else if (silent > ASK_AFTER_MS) this.#transport.ping();
  }

  /** No network: for a server on this machine that means nothing, so ask it. */
  #doubt() {
    if (this.phase !== "live") return;
    const [transport, asked] = [this.#transport, performance.now()];
    transport.ping();
    setTimeout(() => {
      if (transport === this.#transport && this.#heardAt < asked) transport.close("there is no network");
    }, DOUBT_MS);
  }

  /** Somebody looks again after a while: is the connection still what we think? */
  #wake() {
    if (this.phase === "waiting") this.retry();
    else this.#watch();
  }

  #to(phase) {
    this.phase = phase;
    this.#tell();
  }

  #tell() {
    for (const listener of this.#listeners) listener(this);
  }
}
