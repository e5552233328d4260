// The infrastructure tree: orchestrators, their scalers, and the agents of those. A treegrid for the keyboard and for
// screen readers; only the rows near the window exist.

import { h, oncePerFrame, put } from "../../dom.js";
import { copyable } from "../../components/copy.js";
import { emptyState } from "../../components/parts.js";
import { VirtualRows } from "../../components/virtual_rows.js";
import { byName } from "../../fleet/words.js";
import { rowMakers } from "./rows.js";

const COLUMNS = [
  ["main", "Name"],
  ["status", "State"],
  ["host", "Host and user"],
  ["cpus", "CPUs"],
  ["memory", "Memory"],
  ["uptime", "Uptime"],
  ["version", "Version"],
  ["jobs", "Jobs"],
  ["beat", "Heartbeat"],
  ["tools", ""],
];
const TROUBLED = new Set(["LATE", "LOST", "NEVER_SEEN"]);
const STICKY_PX = 96;

export class Tree {
  #fleet;
  #clock;
  #virtual;
  #folded = new Set(JSON.parse(sessionStorage.getItem("kici.folded") ?? "[]"));
  #active = null;
  #makers;
  #heights = {};
  #body = h("div", { class: "tree-body", role: "rowgroup" });
  #empty = h("div");
  #dirty = { ids: new Set(), moved: true };
  #draw = oncePerFrame(() => this.#redraw());
  filter = { text: "", troubled: false };

  constructor({ fleet, clock, orgPath }) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#makers = rowMakers({
      clock,
      orgPath,
      toggle: (key) => this.#toggle(key),
      details: (key, anchor) => this.#details(key, anchor),
      config: async (key, anchor) => (await import("./details.js")).openConfiguration(fleet, key, anchor),
    });
    const head = h("div", { class: "row tree-head", role: "row", "aria-rowindex": "1" }, COLUMNS.map(column));
    this.grid = h(
      "div",
      { class: "tree", role: "treegrid", "aria-label": "Infrastructure", "aria-colcount": COLUMNS.length + 1 },
      h("div", { role: "rowgroup", class: "tree-head-group" }, head),
      this.#body,
    );
    this.element = h("div", { class: "tree-frame" }, this.grid, this.#empty);
    this.#virtual = new VirtualRows(this.#body, {
      height: (item) => this.#heights[item.kind],
      make: (item) => this.#makers[item.kind](item),
    });
    this.#body.addEventListener("keydown", (event) => this.#key(event));
    this.#body.addEventListener("focusin", ({ target }) => this.#focused(target.closest(".row")));
    this.#body.addEventListener("dblclick", ({ target }) => this.#toggle(target.closest(".row")?.dataset.key));
    this.resized = () => this.change({ ids: new Set(), moved: true });
    addEventListener("resize", this.resized, { passive: true });
  }

  close() {
    this.#virtual.close();
    removeEventListener("resize", this.resized);
  }

  /** Something changed: write it on the next frame that is painted. */
  change({ ids, moved }) {
    for (const id of ids) this.#dirty.ids.add(id);
    this.#dirty.moved ||= moved || this.filter.troubled;
    this.#draw();
  }

  /** Write the ages anew. */
  tick() {
    for (const row of this.#virtual.rows()) row.tick();
  }

  /** Show and focus one row, opening what it is folded into. */
  reveal(id) {
    const found = this.#fleet.find(id);
    if (!found) return;
    const { thing } = found;
    for (const parent of [thing.orchestrator?.id, thing.scaler?.id]) this.#folded.delete(parent);
    this.#flatten();
    this.#focus(id);
  }

  foldAgents(fold) {
    this.#folded = new Set(fold ? this.#fleet.scalers.keys() : []);
    this.#remember();
    this.change({ ids: new Set(), moved: true });
  }

  #redraw() {
    const { ids, moved } = this.#dirty;
    this.#dirty = { ids: new Set(), moved: false };
    if (moved) return this.#flatten();
    for (const id of ids) {
      const item = this.#virtual.item(id);
      if (!item) continue;
      // A thing that changed is another object; rows out of sight get it when they are made.
      item.thing = this.#thing(item) ?? item.thing;
      this.#virtual.row(id)?.update(item);
    }
    return undefined;
  }

  #thing({ kind, key }) {
    return this.#fleet[`${kind}s`].get(key);
  }

  #flatten() {
    this.#measure();
    const items = flatten(this.#fleet, this.filter, this.#folded);
    this.grid.setAttribute("aria-rowcount", items.length + 1);
    if (this.#active === null || !items.some(({ key }) => key === this.#active)) this.#active = items[0]?.key ?? null;
    this.#virtual.pin(this.#active);
    this.#virtual.show(items);
    this.#virtual.row(this.#active)?.element.setAttribute("tabindex", "0");
    this.#explain(items.length);
  }

  #explain(count) {
    this.grid.hidden = count === 0;
    if (count > 0) return put(this.#empty);
    if (this.#fleet.orchestrators.size > 0)
      return put(this.#empty, emptyState("Nothing fits the filter", "Clear the search field or “Needs attention” to see the whole fleet."));
    return put(
      this.#empty,
      emptyState(
        "No orchestrator has ever connected",
        "Create a token of scope ORCHESTRATOR and start one; it appears here by itself.",
        copyable("kici-gql token create my-orchestrator --scope orchestrator"),
      ),
    );
  }

  #measure() {
    const style = getComputedStyle(this.grid);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    for (const kind of ["orchestrator", "scaler", "agent"]) {
      this.#heights[kind] = parseFloat(style.getPropertyValue(`--${kind}-rem`)) * rem;
    }
  }

  async #details(key, anchor) {
    const { openDetails } = await import("./details.js");
    openDetails(this.#fleet, this.#clock, key, anchor);
  }

  #toggle(key) {
    if (!key) return;
    if (!this.#folded.delete(key)) this.#folded.add(key);
    this.#remember();
    this.#flatten();
  }

  #remember() {
    sessionStorage.setItem("kici.folded", JSON.stringify([...this.#folded].slice(0, 500)));
  }

  #focused(row) {
    if (!row || row.dataset.key === this.#active) return;
    this.#virtual.row(this.#active)?.element.setAttribute("tabindex", "-1");
    this.#active = row.dataset.key;
    this.#virtual.pin(this.#active);
    row.setAttribute("tabindex", "0");
  }

  #focus(key) {
    this.#virtual.reveal(key, STICKY_PX)?.element.focus({ preventScroll: true });
  }

  #key(event) {
    if (!event.target.classList.contains("row") || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = this.#virtual.items;
    const index = this.#virtual.indexOf(this.#active);
    const step = this.#step(event.key, items, index);
    if (step === undefined) return;
    event.preventDefault();
    if (step !== null) this.#focus(step);
  }

  /** The key of the row to go to; null when something else was done; undefined for keys that are not ours. */
  #step(key, items, index) {
    const item = items[index];
    const parent = () => items.slice(0, index).findLast((other) => other.level < item.level)?.key ?? null;
    switch (key) {
      case "ArrowDown":
        return items[index + 1]?.key ?? null;
      case "ArrowUp":
        return items[index - 1]?.key ?? null;
      case "Home":
        return items[0].key;
      case "End":
        return items.at(-1).key;
      case "PageDown":
        return items[Math.min(items.length - 1, index + 10)].key;
      case "PageUp":
        return items[Math.max(0, index - 10)].key;
      case "ArrowRight":
        if (item.expandable && !item.expanded) return this.#toggle(item.key) ?? item.key;
        return item.expandable ? (items[index + 1]?.key ?? null) : null;
      case "ArrowLeft":
        if (item.expandable && item.expanded) return this.#toggle(item.key) ?? item.key;
        return parent();
      case "Enter":
      case " ":
        this.#details(item.key, this.#virtual.row(item.key).element);
        return null;
    }
    return undefined;
  }
}

function column([className, title]) {
  return h("div", { class: `cell ${className}`, role: "columnheader" }, title || h("span", { class: "hidden-text" }, "Actions"));
}

/** The rows that are to be shown, from top to bottom. */
function flatten(fleet, filter, folded) {
  const scalersOf = grouped(fleet.scalers, (scaler) => scaler.orchestrator?.id);
  const agentsOf = grouped(fleet.agents, (agent) => agent.scaler?.id ?? agent.orchestrator?.id);
  const matches = matcher(filter);
  // What fits the search brings all that is below it; what is troubled stands for itself alone.
  const fits = (kind, thing, inherited) => (inherited && !filter.troubled) || matches(kind, thing);
  const agents = (parent, level, inherited) =>
    (agentsOf.get(parent.id) ?? [])
      .filter((agent) => fits("agent", agent, inherited))
      .sort((a, b) => byName(a.agentId, b.agentId))
      .map((thing) => ({ kind: "agent", key: thing.id, thing, level, expandable: false, expanded: false }));
  const branch = (item, fitting, below) => {
    if (!fitting && below.length === 0) return [];
    const expandable = below.length > 0;
    const expanded = expandable && (filter.active || !folded.has(item.thing.id));
    return [{ ...item, key: item.thing.id, expandable, expanded }, ...(expanded ? below : [])];
  };
  const scaler = (thing, inherited) => {
    const fitting = fits("scaler", thing, inherited);
    return branch({ kind: "scaler", thing, level: 2 }, fitting, agents(thing, 3, fitting));
  };
  const orchestrator = (thing) => {
    const fitting = fits("orchestrator", thing, false);
    const scalers = (scalersOf.get(thing.id) ?? []).sort((a, b) => byName(a.name, b.name));
    const below = [...scalers.flatMap((each) => scaler(each, fitting)), ...agents(thing, 2, fitting)];
    return branch({ kind: "orchestrator", thing, level: 1, cluster: fleet.clusters.get(thing.cluster.id) }, fitting, below);
  };
  const clusterName = ({ cluster }) => fleet.clusters.get(cluster.id)?.name ?? "";
  const order = (a, b) => byName(clusterName(a), clusterName(b)) || byName(a.displayId, b.displayId);
  return positioned([...fleet.orchestrators.values()].sort(order).flatMap(orchestrator));
}

function grouped(things, keyOf) {
  const groups = new Map();
  for (const thing of things.values()) {
    const key = keyOf(thing);
    const group = groups.get(key);
    if (group) group.push(thing);
    else groups.set(key, [thing]);
  }
  return groups;
}

/** Number every row among its siblings, as a screen reader reads it out. */
function positioned(items) {
  const families = [];
  const familyOf = items.map(({ level }) => {
    families.length = level;
    families[level - 1] ??= { size: 0 };
    families[level - 1].size += 1;
    return { family: families[level - 1], position: families[level - 1].size };
  });
  items.forEach((item, index) => {
    item.position = familyOf[index].position;
    item.siblings = familyOf[index].family.size;
  });
  return items;
}

function matcher(filter) {
  const text = filter.text.trim().toLowerCase();
  filter.active = text !== "" || filter.troubled;
  return (kind, thing) => {
    if (filter.troubled && (kind === "scaler" || !TROUBLED.has(thing.liveness.state))) return false;
    if (text === "") return true;
    const words = [thing.displayId, thing.name, thing.agentId, thing.hostname, thing.version, thing.liveness?.state];
    const labels = (thing.labels ?? []).map((label) => label.name);
    return [...words, ...labels].some((word) => word?.toLowerCase().includes(text));
  };
}
