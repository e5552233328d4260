// One workflow in the table: a row that is rewritten, and what unfolds below it.

import { h, name, put, setAttribute, setText } from "../../dom.js";
import { age, badge, factCards, label } from "../../components/parts.js";
import { icon } from "../../components/icons.js";
import { ask, notify } from "../../components/dialog.js";
import { tip } from "../../components/tooltip.js";
import { dateTime, duration } from "../../clock.js";
import { request } from "../../graphql/http.js";
import { askFor, attempt, follow, permitted } from "../../runs/asking.js";
import { DELETE, LAST_RUNS, RUN_NOW, SET_ENABLED } from "../../runs/documents.js";
import { statusMark } from "../../runs/words.js";
import { plural } from "../../fleet/words.js";
import { inputsForm } from "./inputs.js";
import { triggerCard } from "./triggers.js";

let count = 0;

export class WorkflowRow {
  #app;
  #workflow = null;
  #open = false;
  #busy = false;
  #runs = null;
  #cells = {};
  #name = name("", { class: "title" });
  #marks = h("span", { class: "row-of-marks" });
  #toggle;
  #last;
  #next = h("span");
  #nextCell = h("td", { class: "fit", data: { title: "Next fire" } }, this.#next);
  #switch;
  #panel;

  constructor(app, columns) {
    this.#app = app;
    const id = `workflow-${++count}`;
    this.#toggle = h("button", { class: "caret", type: "button", "aria-expanded": "false", "aria-controls": id, onclick: () => this.#unfold() }, icon("caret"));
    this.#last = age(app.clock, null);
    this.#switch = h("button", { class: "switch", type: "button", role: "switch", onclick: () => this.#setEnabled() });
    tip(this.#switch, () => (this.#workflow.enabled ? "Enabled: its triggers count" : "Disabled: it runs only by hand"));
    tip(this.#next, () => this.#workflow.nextFireAt && dateTime(this.#workflow.nextFireAt));
    const runNow = h("button", { class: "button small", type: "button", onclick: () => this.#runNow() }, icon("play"), "Run now");
    const remove = h("button", { class: "icon-button", type: "button", "aria-label": "Delete", onclick: () => this.#delete() }, icon("trash"));
    this.#cells = { repository: h("td", { data: { title: "Repository" } }), triggers: h("td", { data: { title: "Triggers" } }), sources: h("td", { data: { title: "Source repos" } }) };
    this.element = h(
      "tr",
      null,
      h("td", { class: "fit" }, this.#toggle),
      h("td", null, this.#name, " ", this.#marks),
      this.#cells.repository,
      this.#cells.triggers,
      h("td", { class: "fit", data: { title: "Last triggered" } }, this.#last.element),
      this.#nextCell,
      this.#cells.sources,
      h(
        "td",
        { class: "fit" },
        h("span", { class: "actions" }, permitted(app.can("workflowSetEnabled"), this.#switch), permitted(app.can("workflowRunNow"), runNow), permitted(app.can("workflowDelete"), tip(remove, "Delete"))),
      ),
    );
    this.#panel = h("div", { class: "unfolded" });
    this.more = h("tr", { class: "more-row", id, hidden: true }, h("td", { colspan: columns.length }, this.#panel));
  }

  update(workflow, showCluster) {
    const before = this.#workflow;
    this.#workflow = workflow;
    setText(this.#name, workflow.name);
    setAttribute(this.#toggle, "aria-label", `Triggers and runs of ${workflow.name}`);
    setAttribute(this.#switch, "aria-checked", String(workflow.enabled));
    setAttribute(this.#switch, "aria-label", `${workflow.name} enabled`);
    setAttribute(this.element, "class", workflow.enabled ? null : "disabled-row");
    if (before?.version !== workflow.version || before?.stale !== workflow.stale) this.#write(workflow, showCluster);
    this.#last.set(workflow.lastTriggeredAt);
    this.tick();
  }

  #write(workflow, showCluster) {
    put(
      this.#marks,
      workflow.stale && tip(badge("Stale", "warn"), "Enabled, and not triggered in the last 30 days"),
      !workflow.enabled && badge("disabled", "outline"),
      showCluster && h("span", { class: "quiet" }, "in ", name(workflow.cluster.name)),
    );
    put(this.#cells.repository, name(workflow.repository));
    put(this.#cells.triggers, h("span", { class: "labels wrap" }, workflow.triggerTypes.map((type) => label({ name: type, kind: "AUTO" }))));
    setAttribute(this.#cells.sources, "data-empty", workflow.sourceRepos.length === 0);
    put(this.#cells.sources, workflow.sourceRepos.length ? h("span", { class: "labels wrap" }, workflow.sourceRepos.map((each) => h("bdi", { class: "label key" }, each))) : h("span", { class: "quiet" }, "–"));
    if (this.#open) this.#fill();
  }

  tick() {
    this.#last.write();
    const at = this.#workflow.nextFireAt;
    const ms = at ? Date.parse(at) - this.#app.clock.now() : null;
    setText(this.#next, ms === null ? "–" : ms <= 0 ? "due" : `in ${duration(ms)}`);
    if (!this.#workflow.enabled && at) setText(this.#next, "–");
    setAttribute(this.#nextCell, "data-empty", this.#next.textContent === "–");
  }

  remove() {
    this.element.remove();
    this.more.remove();
  }

  #unfold() {
    this.#open = !this.#open;
    this.more.hidden = !this.#open;
    this.#toggle.setAttribute("aria-expanded", String(this.#open));
    if (this.#open) {
      this.#fill();
      this.#loadRuns();
    }
  }

  #fill() {
    const { triggers, sourceFile, commitSha, registrationId, registeredAt, inputs, cluster } = this.#workflow;
    put(
      this.#panel,
      h("div", { class: "trigger-cards" }, triggers.length ? triggers.map((trigger) => triggerCard(trigger, this.#app.clock)) : h("p", { class: "quiet" }, "No triggers: it runs only by hand.")),
      factCards([
        ["Source file", name(sourceFile ?? "–")],
        ["Commit", h("code", null, commitSha?.slice(0, 12) ?? "–")],
        ["Cluster", name(cluster.name)],
        ["Registration", h("code", null, registrationId)],
        ["Registered", dateTime(registeredAt)],
        inputs.length > 0 && ["Inputs", inputs.map(({ name: text }, index) => [index > 0 && ", ", name(text)])],
      ].filter(Boolean)),
      this.#runs ?? h("p", { class: "quiet" }, "Reading its last runs…"),
    );
  }

  async #loadRuns() {
    let shown;
    try {
      const { node } = await request(LAST_RUNS, { id: this.#workflow.id });
      shown = lastRuns(node?.runs.nodes ?? [], this.#app, this.#workflow.name);
    } catch {
      shown = h("p", { class: "quiet" }, "Its last runs can’t be read just now.");
    }
    this.#runs = shown;
    if (this.#open) this.#fill();
  }

  async #setEnabled() {
    if (this.#busy) return;
    const { id, enabled, name: title } = this.#workflow;
    this.#setBusy(true);
    const asked = await attempt(() => askFor(SET_ENABLED, { workflowId: id, enabled: !enabled }));
    if (asked) await follow(this.#app, asked, `${enabled ? "Disabling" : "Enabling"} ${title}`);
    this.#setBusy(false);
  }

  #setBusy(busy) {
    this.#busy = busy;
    setAttribute(this.#switch, "aria-busy", busy ? "true" : null);
  }

  async #runNow() {
    const { id, inputs } = this.#workflow;
    if (inputs.length === 0) return void attempt(async () => this.#started(await askFor(RUN_NOW, { workflowId: id })));
    const form = inputsForm(inputs);
    await ask({
      title: "Run now",
      confirm: "Run",
      body: [h("p", null, name(this.#workflow.name)), form.fields],
      act: async () => this.#started(await askFor(RUN_NOW, { workflowId: id, inputs: form.values() })),
    });
  }

  #started(asked) {
    if (asked.wasDisabled) notify("The workflow is disabled; it runs by hand all the same.");
    follow(this.#app, asked, `Running ${this.#workflow.name}`);
    this.#app.go(`/runs/${encodeURIComponent(asked.run.externalId)}`);
  }

  #delete() {
    const { id, name: title, repository } = this.#workflow;
    const cancel = h("input", { type: "checkbox" });
    ask({
      title: "Delete this workflow?",
      confirm: "Delete",
      danger: true,
      body: [
        h("p", null, name(title, { class: "title" }), " of ", name(repository), " will no longer listen for events. The next push to the default branch may register it again."),
        h("label", { class: "check" }, cancel, "Cancel active runs"),
      ],
      act: async () => {
        const asked = await askFor(DELETE, { workflowId: id, cancelActiveRuns: cancel.checked });
        if (asked.cancelledRuns.length) notify(`${plural(asked.cancelledRuns.length, "active run")} will be cancelled.`);
        follow(this.#app, asked, `Deleting ${title}`);
      },
    });
  }
}

function lastRuns(runs, app, workflow) {
  if (runs.length === 0) return h("p", { class: "quiet" }, "It has not run yet.");
  return h(
    "div",
    { class: "last-runs" },
    h("h3", null, "Last runs"),
    h("ul", null, runs.map((run) => h("li", null, statusMark(run.status), h("a", { href: `/runs/${encodeURIComponent(run.externalId)}` }, name(run.externalId)), h("span", { class: "quiet" }, `${run.triggerType ?? ""} ${dateTime(run.queuedAt)}`)))),
    h("a", { href: `${app.orgPath}/runs?workflow=${encodeURIComponent(workflow)}` }, "All its runs"),
  );
}
