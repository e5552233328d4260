// Orchestrators: the clusters by name, with whoever serves them. A click opens the cluster's own pages.

import { h, name, oncePerFrame, put } from "../dom.js";
import { age, badge, emptyState, pageHead, skeleton, state } from "../components/parts.js";
import { copyable } from "../components/copy.js";
import { tip } from "../components/tooltip.js";
import { openFleet } from "../fleet/open.js";
import { byName, plural } from "../fleet/words.js";
import { dateTime } from "../clock.js";

const TICK_MS = 1000;
const COLUMNS = ["Cluster", "State", "Orchestrators", "Version", "Mode", "Routing keys", "Last heartbeat"];

export function open(app) {
  const { fleet, clock } = app;
  const body = h("tbody");
  const table = h(
    "div",
    { class: "table-frame", hidden: true },
    h("table", { class: "table" }, h("caption", { class: "hidden-text" }, "Clusters"), h("thead", null, h("tr", null, COLUMNS.map((title) => h("th", { scope: "col" }, title)))), body),
  );
  const other = h("div", null, skeleton(4));
  let ages = [];
  const draw = oncePerFrame(() => {
    if (!fleet.known) return;
    const clusters = [...fleet.clusters.values()].sort((a, b) => byName(a.name, b.name));
    const focused = document.activeElement?.closest?.("tr")?.dataset.id;
    ages = [];
    put(body, clusters.map((cluster) => clusterRow(cluster, fleet, clock, app.orgPath, ages)));
    table.hidden = clusters.length === 0;
    put(other, clusters.length === 0 && noCluster());
    if (focused) body.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
  });
  const change = ({ ids, moved }) => {
    // Heartbeats alone change nothing here but ages, which the tick writes.
    if (moved || [...ids].some((id) => fleet.clusters.has(id) || fleet.orchestrators.has(id))) draw();
  };
  const stops = [fleet.onChange(change), openFleet(app, (errors) => put(other, app.problem(errors)))];
  const timer = setInterval(() => ages.forEach((each) => each.write()), TICK_MS);
  draw();
  return {
    title: "Orchestrators",
    element: h("div", { class: "page" }, pageHead("Orchestrators"), table, other),
    refresh: draw,
    close() {
      clearInterval(timer);
      for (const stop of stops) stop();
    },
  };
}

function clusterRow(cluster, fleet, clock, orgPath, ages) {
  const orchestrators = orchestratorsOf(fleet, cluster.id);
  const newest = orchestrators.map((each) => each.lastHeartbeatAt).sort().at(-1) ?? cluster.lastHeartbeatAt;
  const beat = age(clock, newest);
  ages.push(beat);
  const keys = cluster.routingKeys.map((key) => h("bdi", { class: "label key" }, key));
  return h("tr", { class: "clickable", data: { id: cluster.id } }, [
    h("td", null, h("a", { class: "title", href: `${orgPath}/orchestrators/${encodeURIComponent(cluster.name)}/overview` }, name(cluster.name)), " ", marks(cluster)),
    h("td", { class: "fit", data: { title: "State" } }, clusterState(cluster, orchestrators)),
    h("td", { data: { title: "Orchestrators" } }, orchestrators.map((each, index) => [index > 0 && ", ", name(each.displayId)])),
    h("td", { class: "fit", data: { title: "Version" } }, versions(cluster)),
    h("td", { class: "fit", data: { title: "Mode" } }, cluster.mode ?? "–"),
    h("td", { data: { title: "Routing keys" } }, keys.length ? h("span", { class: "labels wrap" }, keys) : h("span", { class: "quiet" }, "none")),
    h("td", { class: "fit", data: { title: "Heartbeat" } }, beat.element),
  ]);
}

/** The orchestrators of a cluster, in order of their names. */
export function orchestratorsOf(fleet, clusterId) {
  return [...fleet.orchestrators.values()].filter(({ cluster }) => cluster.id === clusterId).sort((a, b) => byName(a.displayId, b.displayId));
}

/** Connected or not; if not, since when. */
export function clusterState(cluster, orchestrators) {
  const there = orchestrators.filter(({ connected }) => connected).length;
  if (there > 0) {
    const all = there === orchestrators.length;
    return state(all ? "Connected" : `${there} of ${orchestrators.length} connected`, all ? "good" : "warn");
  }
  const last = orchestrators.map(({ disconnectedAt }) => disconnectedAt).filter(Boolean).sort().at(-1);
  const shown = state("Disconnected", "bad");
  return last ? tip(shown, () => `Since ${dateTime(last)}`) : shown;
}

/** What is special about the name of a cluster. */
export function marks(cluster) {
  return [
    cluster.autoNamed && tip(badge("auto-named", "outline"), "The server chose the name because nobody did"),
    cluster.pendingName && tip(badge(`→ ${cluster.pendingName}`, "info"), "The name it will have when its orchestrators next connect"),
  ];
}

export function versions(cluster) {
  if (cluster.versions.length < 2) return name(cluster.versions[0] ?? cluster.version ?? "–");
  return [tip(badge(plural(cluster.versions.length, "version"), "warn"), cluster.versions.join("\n")), " ", name(cluster.versions.join(", "), { class: "quiet" })];
}

function noCluster() {
  return emptyState(
    "There is no cluster yet",
    "A cluster appears when its first orchestrator connects. Give one a token:",
    copyable("kici-gql token create my-orchestrator --scope orchestrator"),
  );
}
