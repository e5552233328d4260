// One cluster's own pages. Nothing here ever comes from another cluster.

import { h, name, oncePerFrame, put } from "../../dom.js";
import { age, emptyState, factCards, skeleton, state } from "../../components/parts.js";
import { openFleet } from "../../fleet/open.js";
import { connectionWord, memoryOf, plural, words } from "../../fleet/words.js";
import { dateTime, longDuration } from "../../clock.js";
import { icon } from "../../components/icons.js";
import { messageOf } from "../../components/dialog.js";
import { request } from "../../graphql/http.js";
import { Backends } from "../../clusters/backends.js";
import { surfaceQuery } from "./documents.js";
import { permitted } from "../../runs/asking.js";
import { rename } from "./rename.js";
import { SURFACES, showSurface } from "./surfaces.js";
import { clusterState, marks, orchestratorsOf, versions } from "../orchestrators.js";

const TICK_MS = 1000;
const TABS = [["overview", "Overview"], ...Object.entries(SURFACES).map(([key, { title }]) => [key, title])];

export function open(app, { params }) {
  const { fleet, clock } = app;
  const tab = params.tab in SURFACES ? params.tab : "overview";
  const head = h("h1", { tabindex: "-1" }, h("a", { class: "breadcrumb", href: `${app.orgPath}/orchestrators` }, "Orchestrators"), h("span", { class: "slash", "aria-hidden": "true" }, "/"), name(params.cluster));
  const about = h("span", { class: "row-of-marks" });
  const renameButton = h("button", { class: "button small", type: "button", disabled: true, onclick: () => rename(found()) }, icon("pen"), "Rename");
  const body = h("div", null, skeleton(4));
  const found = () => [...fleet.clusters.values()].find((each) => each.name === params.cluster);
  const backends = new Backends(app, { named: false, fits: (backend) => backend.cluster.name === params.cluster, heard: (event) => surface?.heard(event) });
  const surface = tab === "overview" ? null : new Surface(app, params.cluster, SURFACES[tab], body);
  let ages = [];
  const draw = oncePerFrame(() => {
    renameButton.disabled = !app.can("clusterRename").allowed || found() === undefined; // until its data are here there is nothing to rename
    if (!fleet.known) return;
    const cluster = found();
    if (!cluster) return void put(body, noSuchCluster(app.orgPath));
    const orchestrators = orchestratorsOf(fleet, cluster.id);
    put(about, marks(cluster), clusterState(cluster, orchestrators));
    // The stream tells of orchestrators that come and go, not of what that makes of their cluster.
    if (surface) return void surface.connected(orchestrators.some((each) => each.connected));
    ages = [];
    put(body, overview(cluster, fleet, clock, ages), backends.element);
  });
  const change = ({ ids, moved }) => (moved || [...ids].some((id) => fleet.clusters.has(id) || fleet.orchestrators.has(id))) && draw();
  const stops = [fleet.onChange(change), openFleet(app, (errors) => put(body, app.problem(errors))), backends.open()];
  const timer = setInterval(() => ages.forEach((each) => each.write()), TICK_MS);
  draw();
  return {
    title: params.cluster,
    element: h("div", { class: "page" }, h("div", { class: "page-head" }, head, about, h("span", { class: "grow" }), permitted(app.can("clusterRename"), renameButton)), tabs(app, params.cluster, tab), body),
    refresh: draw,
    close() {
      clearInterval(timer);
      for (const stop of stops) stop();
    },
  };
}

/** One surface on the page: read now, and again whenever the stream says that it is another one. */
class Surface {
  #app;
  #cluster;
  #about;
  #body;
  #connected = null;
  #turn = 0;

  constructor(app, cluster, about, body) {
    this.#app = app;
    this.#cluster = cluster;
    this.#about = about;
    this.#body = body;
    this.read();
  }

  heard({ __typename, surface }) {
    if (__typename === "SurfaceChanged" && surface === this.#about.surface) this.read();
  }

  connected(now) {
    const before = this.#connected;
    this.#connected = now;
    if (before !== null && before !== now) this.read();
  }

  async read() {
    const turn = ++this.#turn;
    const { org } = this.#app.session;
    try {
      const { org: found } = await request(surfaceQuery(this.#about.selection), { org: org.slug, name: this.#cluster });
      if (turn !== this.#turn || !found.cluster) return;
      put(this.#body, showSurface(this.#about, found.cluster.data, { app: this.#app, clusterId: found.cluster.id }));
    } catch (error) {
      if (turn !== this.#turn) return;
      put(this.#body, error.code === "CLUSTER_DISCONNECTED" ? disconnected() : emptyState("This can’t be read just now", messageOf(error), this.#again()));
    }
  }

  #again() {
    return h("button", { class: "button", type: "button", onclick: () => this.read() }, "Try again");
  }
}

function disconnected() {
  return emptyState(
    "Nobody is connected who could tell",
    "The cluster’s orchestrators hold this, and none of them is connected. What they said earlier may no longer be so, and is not shown.",
    "It appears here by itself as soon as one connects.",
  );
}

function tabs(app, cluster, current) {
  const path = `${app.orgPath}/orchestrators/${encodeURIComponent(cluster)}`;
  return h(
    "nav",
    { class: "tabs", "aria-label": "Pages of the cluster" },
    TABS.map(([key, title]) => h("a", { href: `${path}/${key}`, "aria-current": key === current && "page" }, title)),
  );
}

function overview(cluster, fleet, clock, ages) {
  const orchestrators = orchestratorsOf(fleet, cluster.id);
  const scalers = [...fleet.scalers.values()].filter(({ orchestrator }) => orchestrators.some(({ id }) => id === orchestrator?.id));
  const agents = [...fleet.agents.values()].filter(({ orchestrator }) => orchestrators.some(({ id }) => id === orchestrator?.id));
  const online = agents.filter(({ liveness }) => liveness.state === "ONLINE").length;
  return [
    h(
      "section",
      { class: "section" },
      factCards([
        ["Version", versions(cluster)],
        ["Mode", cluster.mode ?? "–"],
        ["Scalers", scalers.length],
        ["Agents", `${agents.length}, ${online} online`],
        ["Routing keys", cluster.routingKeys.length ? h("span", { class: "labels wrap" }, cluster.routingKeys.map((key) => h("bdi", { class: "label key" }, key))) : "none"],
        ["First seen", dateTime(cluster.createdAt)],
      ]),
    ),
    h("section", { class: "section" }, h("h2", null, plural(orchestrators.length, "orchestrator")), orchestratorTable(orchestrators, clock, ages)),
  ];
}

const COLUMNS = ["Name", "State", "Role", "Host", "Memory", "Uptime", "Version", "Jobs", "Connected", "Last heartbeat"];

function orchestratorTable(orchestrators, clock, ages) {
  const row = (each) => {
    const beat = age(clock, each.lastHeartbeatAt);
    const connected = age(clock, each.connected ? each.connectedAt : each.disconnectedAt);
    ages.push(beat, connected);
    return h("tr", null, [
      h("td", null, name(each.displayId, { class: "title" }), " ", each.shortConnectionId && h("code", { class: "quiet" }, each.shortConnectionId)),
      h("td", { class: "fit", data: { title: "State" } }, state(...connectionWord(each)), each.connected || h("div", { class: "quiet" }, each.liveness.reason)),
      h("td", { class: "fit", data: { title: "Role" } }, words(each.role)),
      h("td", { data: { title: "Host" } }, name(each.hostname), " · ", name(each.runningAs, { class: "quiet" })),
      h("td", { class: "fit", data: { title: "Memory" } }, memoryOf(each.memoryUsedMb, each.memoryTotalMb)),
      h("td", { class: "fit", data: { title: "Uptime" } }, longDuration(each.uptimeSeconds * 1000)),
      h("td", { class: "fit", data: { title: "Version" } }, name(each.version)),
      h("td", { class: "fit", data: { title: "Jobs" } }, `${each.runningJobs} running, ${each.queuedJobs} queued`),
      h("td", { class: "fit", data: { title: each.connected ? "Connected" : "Left" } }, connected.element),
      h("td", { class: "fit", data: { title: "Heartbeat" } }, beat.element),
    ]);
  };
  return h(
    "div",
    { class: "table-frame" },
    h("table", { class: "table" }, h("thead", null, h("tr", null, COLUMNS.map((title) => h("th", { scope: "col" }, title)))), h("tbody", null, orchestrators.map(row))),
  );
}

function noSuchCluster(orgPath) {
  return emptyState("There is no cluster of this name", "It may have been renamed.", h("a", { href: `${orgPath}/orchestrators` }, "All clusters"));
}
