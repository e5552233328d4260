// Secret backends: where a cluster's secrets come from, whether they answer, and having them read or tried.

import { h, name, oncePerFrame, put, setText } from "../dom.js";
import { age, badge, label, state } from "../components/parts.js";
import { notify } from "../components/dialog.js";
import { Stream } from "../graphql/stream.js";
import { askFor, attempt, follow, permitted } from "../runs/asking.js";
import { byName, words } from "../fleet/words.js";
import { BACKENDS, SYNC, SYNC_ALL, TEST } from "./documents.js";

const HEALTH = { HEALTHY: "good", DEGRADED: "warn", UNREACHABLE: "bad", UNKNOWN: "off" };
const TICK_MS = 1000;

/** Cards of all backends that fit; `heard(event)` is told of every other word of the stream. */
export class Backends {
  #app;
  #fits;
  #heard;
  #named;
  #backends = new Map();
  #cards = h("div", { class: "backend-cards" });
  #ages = [];
  #draw = oncePerFrame(() => this.#redraw());
  element = h("section", { class: "section backends", hidden: true, "aria-label": "Secret backends" });

  /** `named`: say of each which cluster it is of. */
  constructor(app, { fits = () => true, heard = () => {}, named = true } = {}) {
    this.#app = app;
    this.#fits = fits;
    this.#heard = heard;
    this.#named = named;
  }

  /** Start; the returned function stops. */
  open() {
    const stream = new Stream({ document: BACKENDS, variables: { org: this.#app.session.org.slug }, take: (frame) => this.#take(frame) });
    const close = this.#app.link.open(stream);
    const timer = setInterval(() => this.#ages.forEach((each) => each.write()), TICK_MS);
    return () => {
      close();
      clearInterval(timer);
    };
  }

  get size() {
    return this.#backends.size;
  }

  #take(frame) {
    if (frame.snapshot) this.#backends = new Map(frame.snapshot.secretBackends.map((each) => [each.id, each]));
    for (const event of frame.events) {
      if (event.secretBackend) this.#backends.set(event.secretBackend.id, event.secretBackend);
      else if (event.__typename === "SecretBackendRemoved") this.#backends.delete(event.id);
      else this.#other(event);
    }
    this.#draw();
  }

  #other(event) {
    // Of a cluster that is not there nobody knows how its backends are; they are told anew when it is back.
    const gone = event.__typename === "ClusterConnectionChanged" && !event.clusterConnected;
    if (gone) for (const { id, cluster } of this.#backends.values()) if (cluster.id === event.clusterId) this.#backends.delete(id);
    this.#heard(event);
  }

  #redraw() {
    const shown = [...this.#backends.values()].filter(this.#fits).sort((a, b) => byName(a.cluster.name, b.cluster.name) || byName(a.name, b.name));
    this.element.hidden = shown.length === 0;
    const focused = document.activeElement?.dataset?.does;
    this.#ages = [];
    put(this.#cards, shown.map((backend) => this.#card(backend)));
    const clusters = new Map(shown.map(({ cluster }) => [cluster.id, cluster]));
    put(this.element, h("div", { class: "toolbar" }, h("h2", null, "Secret backends"), h("span", { class: "grow" }), [...clusters.values()].map((cluster) => this.#all(cluster, clusters.size))), this.#cards);
    if (focused) this.element.querySelector(`[data-does="${CSS.escape(focused)}"]`)?.focus();
  }

  #all(cluster, count) {
    const button = h("button", { class: "button small", type: "button", data: { does: `all ${cluster.id}` }, onclick: () => this.#ask(SYNC_ALL, { clusterId: cluster.id }, `Reading the backends of ${cluster.name}`) }, "Sync all", count > 1 && [" of ", name(cluster.name)]);
    return permitted(this.#app.can("secretBackendSyncAll"), button);
  }

  #card(backend) {
    const synced = age(this.#app.clock, backend.lastSyncAt);
    this.#ages.push(synced);
    const result = h("span", { class: "quiet", role: "status" });
    const sync = h("button", { class: "button small", type: "button", data: { does: `sync ${backend.id}` }, onclick: () => this.#ask(SYNC, { secretBackendId: backend.id }, `Reading ${backend.name}`) }, "Sync");
    const test = h("button", { class: "button small", type: "button", data: { does: `test ${backend.id}` }, onclick: () => this.#test(backend, result) }, "Test");
    return h(
      "section",
      { class: "card backend", "aria-label": `Secret backend ${backend.name}` },
      h("div", { class: "row-of-marks" }, h("h3", null, name(backend.name)), badge(backend.type, "outline"), state(backend.connected ? words(backend.health) : "Disconnected", backend.connected ? (HEALTH[backend.health] ?? "off") : "bad")),
      h("p", { class: "quiet" }, this.#named && ["in ", name(backend.cluster.name), " · "], backend.lastSyncAt ? ["synced ", synced.element] : "never synced"),
      backend.lastError && h("p", { class: "bad" }, name(backend.lastError)),
      backend.scopes.length > 0 && h("p", null, h("span", { class: "labels wrap" }, backend.scopes.map((scope) => label({ name: scope, kind: "AUTO" })))),
      h("p", { class: "row-of-marks" }, permitted(this.#app.can("secretBackendSync"), sync), permitted(this.#app.can("secretBackendTest"), test), result),
    );
  }

  async #ask(document, input, what) {
    const asked = await attempt(() => askFor(document, input));
    if (asked && (await follow(this.#app, asked, what))) notify(`${what}: done.`);
  }

  async #test(backend, result) {
    setText(result, "Testing…");
    const asked = await attempt(() => askFor(TEST, { secretBackendId: backend.id }));
    if (!asked) return setText(result, "");
    if (asked.finished) return tell(result, backend, asked);
    const done = await follow(this.#app, asked, `Testing ${backend.name}`);
    return done ? tell(result, backend, { ok: true, ...done.result }) : setText(result, "");
  }
}

/** The card may be another one by now: the word is said at the foot of the page, too. */
function tell(result, backend, { ok, latencyMs, error }) {
  const text = ok === false ? `does not answer: ${error ?? "no reason given"}` : `answers${latencyMs === null || latencyMs === undefined ? "" : ` in ${latencyMs} ms`}`;
  setText(result, text);
  notify(`${backend.name} ${text}.`, ok === false ? "bad" : "info");
}
