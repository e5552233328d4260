// Workflows: what is registered, when it fires, whether the registries are healthy; run, switch, delete.

import { h, name, oncePerFrame, put } from "../../dom.js";
import { age, emptyState, pageHead, skeleton, state } from "../../components/parts.js";
import { icon } from "../../components/icons.js";
import { request } from "../../graphql/http.js";
import { Stream } from "../../graphql/stream.js";
import { CLUSTER_NAMES, WORKFLOWS } from "../../runs/documents.js";
import { Shelf } from "../../runs/shelf.js";
import { byName, words } from "../../fleet/words.js";
import { WorkflowRow } from "./row.js";

const TICK_MS = 1000;
const COLUMNS = ["", "Name", "Repository", "Triggers", "Last triggered", "Next fire", "Source repos", "Actions"];
const STATES = [
  ["", "Any state"],
  ["enabled", "Enabled"],
  ["disabled", "Disabled"],
  ["stale", "Stale"],
];
const SYNC = { IN_SYNC: ["In sync", "good"], SYNCING: ["Syncing", "info"], STALE: ["Stale", "warn"], ERROR: ["Error", "bad"] };

export function open(app, { address }) {
  const org = app.session.org.slug;
  const workflows = new Shelf();
  const registries = new Map();
  const clusters = new Map();
  const rows = new Map();
  const filters = filterBar(app, address, () => draw());
  const health = h("div", { class: "registries" });
  const body = h("tbody");
  const table = h(
    "div",
    { class: "table-frame", hidden: true },
    h("table", { class: "table workflows" }, h("caption", { class: "hidden-text" }, "Workflows"), h("thead", null, h("tr", null, COLUMNS.map(columnHead))), body),
  );
  const other = h("div", null, skeleton(6));
  let ages = [];

  const draw = oncePerFrame(() => {
    if (!workflows.known) return;
    for (const { cluster } of workflows.things.values()) clusters.set(cluster.id, cluster.name);
    filters.offer([...workflows.things.values()]);
    ages = [];
    put(health, [...registries.values()].sort((a, b) => byName(nameOf(a), nameOf(b))).map((registry) => registryCard(registry, nameOf(registry), app.clock, ages)));
    const shown = [...workflows.things.values()].filter(filters.fits).sort((a, b) => byName(a.name, b.name) || byName(a.repository, b.repository) || byName(a.id, b.id));
    place(shown);
    table.hidden = shown.length === 0;
    put(other, shown.length === 0 && nothing(workflows.things.size));
  });
  const nameOf = ({ clusterId }) => clusters.get(clusterId) ?? "…";
  // Rows are kept and rewritten, so that an open row stays open and a pressed button stays pressed.
  const place = (shown) => {
    const several = registries.size > 1;
    const keep = new Set(shown.map(({ id }) => id));
    for (const [id, row] of rows) {
      if (keep.has(id)) continue;
      row.remove();
      rows.delete(id);
    }
    let before = null;
    for (const workflow of shown) {
      const row = rows.get(workflow.id) ?? new WorkflowRow(app, COLUMNS);
      rows.set(workflow.id, row);
      row.update(workflow, several);
      const next = before ? before.nextSibling : body.firstChild;
      if (next !== row.element) body.insertBefore(row.element, next);
      if (row.element.nextSibling !== row.more) row.element.after(row.more);
      before = row.more;
    }
  };
  const take = (frame) => {
    if (frame.snapshot) {
      workflows.fill(frame.snapshot.workflows);
      registries.clear();
      for (const registry of frame.snapshot.registries) registries.set(registry.clusterId, registry);
    }
    for (const event of frame.events) {
      if (event.workflow) workflows.set(event.workflow);
      else if (event.registry) registries.set(event.registry.clusterId, event.registry);
      else workflows.delete(event.id);
    }
    if ([...registries.keys()].some((id) => !clusters.has(id))) learnClusters();
    draw();
  };
  // A registry without workflows names its cluster by id alone.
  const learnClusters = async () => {
    try {
      const { org: found } = await request(CLUSTER_NAMES, { org });
      for (const cluster of found.clusters.nodes) clusters.set(cluster.id, cluster.name);
      draw();
    } catch {
      // The name stays open until the next frame asks again.
    }
  };
  const stream = new Stream({ document: WORKFLOWS, variables: { org }, take, failed: (errors) => put(other, app.problem(errors)) });
  const close = app.link.open(stream);
  const timer = setInterval(() => {
    for (const row of rows.values()) row.tick();
    for (const each of ages) each.write();
  }, TICK_MS);
  return {
    title: "Workflows",
    element: h("div", { class: "page" }, pageHead("Workflows"), health, filters.element, table, other),
    refresh: draw,
    close() {
      clearInterval(timer);
      close();
    },
  };
}

function columnHead(title) {
  return h("th", { scope: "col" }, title || h("span", { class: "hidden-text" }, "More"));
}

function registryCard(registry, cluster, clock, ages) {
  const [word, tone] = SYNC[registry.syncStatus] ?? [words(registry.syncStatus), "off"];
  const updated = age(clock, registry.updatedAt);
  ages.push(updated);
  const behind = registry.announcedVersion && registry.announcedVersion !== registry.version;
  return h(
    "section",
    { class: "card registry", "aria-label": `Registry of ${cluster}` },
    h("h2", null, "Registry of ", name(cluster)),
    h("span", { class: "row-of-marks" }, state(word, tone), h("span", { class: "quiet" }, "version ", name(registry.version ?? "none"), behind && [" of ", name(registry.announcedVersion)]), h("span", { class: "quiet" }, "updated ", updated.element)),
    registry.error && h("p", { class: "bad" }, name(registry.error)),
  );
}

function nothing(size) {
  if (size > 0) return emptyState("Nothing fits the filters", "Clear them to see all workflows.");
  return emptyState("No workflow is registered", "Workflows appear here when an orchestrator reports its registry: push a default branch that has workflows, or register one by hand.");
}

/** Filters that live in the address. */
function filterBar(app, address, changed) {
  const given = (key) => address.searchParams.get(key) ?? "";
  const search = h("input", { type: "search", class: "search", placeholder: "Name", "aria-label": "Filter by name", value: given("name"), data: { shortcut: "/" } });
  const repository = select("Repository", "All repositories");
  const trigger = select("Trigger type", "All triggers");
  const status = h("select", { "aria-label": "State" }, STATES.map(([value, title]) => h("option", { value }, title)));
  status.value = given("state");
  const wanted = { repository: given("repository"), trigger: given("trigger") };
  const apply = () => {
    wanted.repository = repository.value;
    wanted.trigger = trigger.value;
    app.remember({ name: search.value, repository: repository.value, trigger: trigger.value, state: status.value });
    changed();
  };
  for (const field of [search, repository, trigger, status]) field.addEventListener("input", apply);
  const fits = (workflow) =>
    workflow.name.toLowerCase().includes(search.value.trim().toLowerCase()) &&
    (!wanted.repository || workflow.repository === wanted.repository) &&
    (!wanted.trigger || workflow.triggerTypes.includes(wanted.trigger)) &&
    (!status.value || { enabled: workflow.enabled, disabled: !workflow.enabled, stale: workflow.stale }[status.value]);
  return {
    element: h("div", { class: "toolbar" }, h("label", { class: "search-field" }, icon("search"), search), repository, trigger, status),
    fits,
    offer(workflows) {
      offer(repository, workflows.map((workflow) => workflow.repository), wanted.repository);
      offer(trigger, workflows.flatMap((workflow) => workflow.triggerTypes), wanted.trigger);
    },
  };
}

function select(label, all) {
  return h("select", { "aria-label": label }, h("option", { value: "" }, all));
}

/** Offer what there is, and what the address asks for even if there is none. */
function offer(field, values, chosen) {
  const all = [...new Set([...values, chosen].filter(Boolean))].sort(byName);
  const key = all.join("\n");
  if (field.dataset.offered === key) return;
  field.dataset.offered = key;
  put(field, field.firstChild, all.map((value) => h("option", { value }, value)));
  field.value = chosen;
}

