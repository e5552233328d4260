// The surfaces that a cluster's orchestrators hold: read when they are looked at, read again when word comes that they
// changed, and never shown when nobody is connected who could vouch for them.

import { h, name } from "../../dom.js";
import { badge, emptyState, facts, label, state } from "../../components/parts.js";
import { copyable } from "../../components/copy.js";
import { ask } from "../../components/dialog.js";
import { dateTime } from "../../clock.js";
import { words } from "../../fleet/words.js";
import { DISCARD, RETRY } from "./documents.js";
import { askFor, attempt, follow, permitted } from "../../runs/asking.js";

/** By their part of the address: title, what is asked for, the word that says it changed, and how it is shown. */
export const SURFACES = {
  "security-policy": {
    title: "Security policy",
    surface: "SECURITY_POLICY",
    selection: "data: securityPolicy { reportedAt settings { key value } writes { operation state commandLine } }",
    show: securityPolicy,
  },
  environments: {
    title: "Environments",
    surface: "ENVIRONMENTS",
    selection: "data: environments { reportedAt nodes { name type globPattern enabled variableNames secretScopes protectionRules { type description } } }",
    show: environments,
  },
  secrets: {
    title: "Secrets",
    surface: "SECRET_SCOPES",
    selection: "data: secretScopes { reportedAt nodes { name secretNames bindings } }",
    show: secretScopes,
  },
  "dead-letters": {
    title: "Dead letters",
    surface: "DEAD_LETTERS",
    selection: "data: deadLetters { reportedAt nodes { id eventName reason lastError attempts createdAt deadAt sourceRepository } }",
    show: deadLetters,
  },
  registrations: {
    title: "Registrations",
    surface: null,
    selection: "data: registrations(first: 100, orderBy: { field: NAME }) { totalCount nodes { id name repository triggerTypes enabled stale } }",
    show: registrations,
  },
  "global-workflows": {
    title: "Global workflows",
    surface: "GLOBAL_WORKFLOWS",
    selection: "data: globalWorkflows { enabled reportedAt allowedRepositories deniedRepositories elevatedRepositories }",
    show: globalWorkflows,
  },
};

/** What to show of a surface: its data, or that its orchestrator has not told them. */
export function showSurface({ title, show }, data, context) {
  if (!data) return emptyState(`${title}: not reported`, "The cluster’s orchestrator has not told them since it connected.");
  return [show(data, context), data.reportedAt && h("p", { class: "quiet reported" }, `As reported ${dateTime(data.reportedAt)}`)];
}

function table(titles, rows) {
  return h(
    "div",
    { class: "table-frame" },
    h("table", { class: "table" }, h("thead", null, h("tr", null, titles.map((title) => h("th", { scope: "col" }, title)))), h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, index) => h("td", index > 0 ? { data: { title: titles[index] } } : null, cell)))))),
  );
}

function names(texts, none = "none") {
  if (!texts) return h("span", { class: "quiet" }, "not told");
  return texts.length ? h("span", { class: "labels wrap" }, texts.map((text) => label({ name: text, kind: "AUTO" }))) : h("span", { class: "quiet" }, none);
}

const title = (text) => name(text, { class: "title" });

const WRITES = { ALLOWED: ["Allowed", "good"], SEALED_ONLY: ["Sealed values only", "warn"], DISABLED: ["Forbidden", "off"] };

function securityPolicy({ settings, writes }) {
  return [
    settings.length > 0 && h("section", { class: "card section" }, h("h2", null, "Settings"), facts(settings.map(({ key, value }) => [name(key), name(value)]))),
    writes.length > 0 &&
      h("section", { class: "section" }, h("h2", null, "Writes from outside"), table(["Operation", "From here", "On the host"], writes.map(({ operation, state: told, commandLine: line }) => [h("code", null, operation), state(...(WRITES[told] ?? [told, "off"])), line ? copyable(line) : "–"]))),
    settings.length + writes.length === 0 && emptyState("The policy is empty", "What is not named in it is allowed."),
  ];
}

function environments({ nodes }) {
  if (nodes.length === 0) return emptyState("No environments", "The cluster’s configuration names none.");
  const scoped = nodes.some((each) => each.secretScopes);
  return table(
    ["Name", "Type", "Protection rules", "Variables", ...(scoped ? ["Secrets"] : [])],
    nodes.map((each) => [
      [title(each.name), " ", !each.enabled && badge("disabled", "outline")],
      [each.type, each.globPattern && h("div", { class: "quiet" }, name(each.globPattern))],
      each.protectionRules?.length ? each.protectionRules.map(({ type, description }) => h("div", null, words(type), description && h("span", { class: "quiet" }, " ", name(description)))) : names(each.protectionRules),
      names(each.variableNames),
      ...(scoped ? [names(each.secretScopes)] : []),
    ]),
  );
}

function secretScopes({ nodes }) {
  if (nodes.length === 0) return emptyState("No secret scopes", "The cluster’s configuration names none.");
  const bound = nodes.some((scope) => scope.bindings);
  return table(["Scope", "Secrets", ...(bound ? ["May be used by"] : [])], nodes.map((scope) => [title(scope.name), names(scope.secretNames), ...(bound ? [names(scope.bindings)] : [])]));
}

function deadLetters({ nodes }, context) {
  if (nodes.length === 0) return emptyState("No dead letters", "Every event found its way.");
  return table(
    ["Event", "Why", "Tries", "Given up", "Actions"],
    nodes.map((letter) => [
      [title(letter.eventName), letter.sourceRepository && h("div", { class: "quiet" }, name(letter.sourceRepository))],
      [letter.reason && name(letter.reason), letter.lastError && h("div", { class: "bad" }, name(letter.lastError))],
      letter.attempts,
      letter.deadAt ? dateTime(letter.deadAt) : "–",
      letterActions(letter, context),
    ]),
  );
}

function letterActions(letter, { app, clusterId }) {
  const input = { clusterId, deadLetterId: letter.id };
  const retry = async () => {
    const asked = await attempt(() => askFor(RETRY, input));
    if (asked) follow(app, asked, `Sending ${letter.eventName} again`);
  };
  const discard = () =>
    ask({
      title: "Discard this event?",
      confirm: "Discard",
      danger: true,
      body: [h("p", null, title(letter.eventName), " will be gone for good.")],
      act: async () => void follow(app, await askFor(DISCARD, input), `Discarding ${letter.eventName}`),
    });
  return h(
    "span",
    { class: "actions" },
    permitted(app.can("deadLetterRetry"), h("button", { class: "button small", type: "button", onclick: retry }, "Retry")),
    permitted(app.can("deadLetterDiscard"), h("button", { class: "button small", type: "button", onclick: discard }, "Discard")),
  );
}

function registrations({ nodes, totalCount }, { app }) {
  if (nodes.length === 0) return emptyState("No workflow is registered in this cluster", "Push a default branch that has workflows, or register one by hand.");
  return [
    table(
      ["Workflow", "Repository", "Triggers"],
      nodes.map((each) => [[title(each.name), " ", each.stale && badge("Stale", "warn"), !each.enabled && badge("disabled", "outline")], name(each.repository), names(each.triggerTypes)]),
    ),
    h("p", { class: "reported" }, totalCount > nodes.length && `The first ${nodes.length} of ${totalCount}. `, h("a", { href: `${app.orgPath}/workflows` }, "All workflows, with what can be done to them")),
  ];
}

function globalWorkflows({ enabled, allowedRepositories, deniedRepositories, elevatedRepositories }) {
  return h(
    "section",
    { class: "card" },
    facts([
      ["Global workflows", state(enabled ? "Enabled" : "Disabled", enabled ? "good" : "off")],
      ["Allowed repositories", allowedRepositories ? names(allowedRepositories) : "all"],
      ["Denied repositories", names(deniedRepositories ?? [])],
      ["Elevated repositories", names(elevatedRepositories ?? [])],
    ]),
  );
}
