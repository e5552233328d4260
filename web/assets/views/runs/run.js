// One run: what it is about, its jobs and steps as they go, and the log of the chosen step.

import { h, name, oncePerFrame, put, setAttribute, setText } from "../../dom.js";
import { emptyState, factCards, skeleton } from "../../components/parts.js";
import { icon } from "../../components/icons.js";
import { ask, messageOf } from "../../components/dialog.js";
import { dateTime } from "../../clock.js";
import { request } from "../../graphql/http.js";
import { Stream } from "../../graphql/stream.js";
import { askFor, attempt, follow, permitted } from "../../runs/asking.js";
import { CANCEL, RERUN, RUN_CHANGES, RUN_DETAIL } from "../../runs/documents.js";
import { isOver, setStatus, statusMark, tookText } from "../../runs/words.js";
import { LogView } from "./log.js";

const TICK_MS = 1000;
const AGAIN_MS = 2000;

export function open(app, { params, address }) {
  const page = new RunPage(app, params.run, address);
  page.load();
  return { title: `Run ${params.run}`, element: page.element, refresh: () => page.draw(), close: () => page.close() };
}

class RunPage {
  #app;
  #id;
  #run = null;
  #jobs = new Map();
  #chosen = null;
  #picked;
  #log = null;
  #buttons = new Map();
  #closes = [];
  #closed = false;
  #title = name("…");
  #status = statusMark("PENDING");
  #actions = h("span", { class: "row-of-marks" });
  #facts = h("div");
  #failure = h("p", { class: "failure bad", hidden: true });
  #list = h("ul", { class: "job-list", "aria-label": "Jobs and steps" });
  #right = h("div", { class: "run-log" });
  #body;
  #other = h("div", null, skeleton(6));
  #duration = h("span");
  draw = oncePerFrame(() => this.#redraw());

  constructor(app, id, address) {
    this.#app = app;
    this.#id = id;
    const [job, step] = [address.searchParams.get("job"), address.searchParams.get("step")];
    this.#picked = job === null ? null : { job, step: step === null ? null : Number(step) };
    this.#body = h("div", { hidden: true }, this.#facts, this.#failure, h("div", { class: "run-columns" }, this.#list, this.#right));
    const head = h("h1", { tabindex: "-1" }, h("a", { class: "breadcrumb", href: `${app.orgPath}/runs` }, "Runs"), h("span", { class: "slash", "aria-hidden": "true" }, "/"), this.#title);
    this.element = h("div", { class: "page" }, h("div", { class: "page-head" }, head, this.#status, h("span", { class: "grow" }), this.#actions), this.#body, this.#other);
    const timer = setInterval(() => this.#tick(), TICK_MS);
    this.#closes.push(() => clearInterval(timer));
  }

  close() {
    this.#closed = true;
    this.#log?.close();
    for (const close of this.#closes) close();
  }

  /** Read the run as it is, then follow it from that very position. */
  async load() {
    const { org } = this.#app.session;
    let found;
    try {
      ({ org: found } = await request(RUN_DETAIL, { org: org.slug, id: this.#id }));
    } catch (error) {
      if (this.#closed) return;
      put(this.#other, emptyState("The run can’t be read just now", messageOf(error), "Trying again by itself…"));
      setTimeout(() => this.#closed || this.load(), AGAIN_MS);
      return;
    }
    if (this.#closed) return;
    if (!found.run) return void put(this.#other, emptyState("There is no such run", "It may belong to another org, or be older than what is kept.", h("a", { href: `${this.#app.orgPath}/runs` }, "All runs")));
    this.#take(found.run);
    this.#follow(found.cursor, org.slug);
  }

  #follow(cursor, org) {
    const stream = new Stream({
      document: RUN_CHANGES,
      // There is no filter by id: the runs of the same workflow in the same cluster come as near as one gets.
      variables: { org, after: cursor, where: { workflowName: { eq: this.#run.workflowName }, clusterName: this.#run.cluster.name } },
      take: (frame) => {
        if (frame.kind === "RESYNC") this.#reload();
        for (const event of frame.events) this.#event(event);
      },
      failed: (errors) => put(this.#other, this.#app.problem(errors)),
    });
    stream.heardAt = performance.now(); // the query that it goes on from
    this.#closes.push(this.#app.link.open(stream));
  }

  async #reload() {
    const { org: found } = await request(RUN_DETAIL, { org: this.#app.session.org.slug, id: this.#id });
    if (found.run && !this.#closed) this.#take(found.run);
  }

  #take(run) {
    this.#run = run;
    this.#jobs = new Map(run.jobs.map((job) => [job.id, job]));
    this.draw();
  }

  #event({ run, job, step }) {
    if (run?.id === this.#run.id) Object.assign(this.#run, run);
    else if (job?.runId === this.#run.id) this.#jobs.set(job.id, job);
    else if (step?.runId === this.#run.id) this.#takeStep(step);
    else return;
    this.draw();
  }

  #takeStep(step) {
    const job = this.#jobs.get(step.jobId);
    if (!job) return; // it comes with its job
    const others = job.steps.filter(({ id }) => id !== step.id);
    job.steps = [...others, step].sort((a, b) => a.number - b.number);
  }

  #redraw() {
    if (!this.#run || this.#closed) return;
    const run = this.#run;
    put(this.#other);
    this.#body.hidden = false;
    setText(this.#title, run.workflowName);
    setStatus(this.#status, run.status);
    put(this.#actions, this.#buttonsFor(run));
    put(this.#facts, this.#factsOf(run));
    this.#failure.hidden = !run.failureReason;
    put(this.#failure, icon("alert"), name(run.failureReason ?? ""));
    this.#drawJobs();
    this.#choose();
    this.#tick();
  }

  #tick() {
    if (!this.#run) return;
    setText(this.#duration, tookText(this.#run, this.#app.clock));
    for (const { tick } of this.#buttons.values()) tick();
  }

  #buttonsFor(run) {
    const cancel = h("button", { class: "button", type: "button", onclick: () => this.#cancel() }, icon("stop"), run.status === "CANCELLING" ? "Cancel harder" : "Cancel");
    const again = h("button", { class: "button", type: "button", onclick: () => this.#rerun() }, icon("again"), "Run again");
    const shown = isOver(run.status) ? permitted(this.#app.can("runRerun"), again) : permitted(this.#app.can("runCancel"), cancel);
    // A button that is the same stays the same: somebody may be about to press it.
    const key = `${run.status}`;
    if (this.#actions.dataset.key === key) return [...this.#actions.childNodes];
    this.#actions.dataset.key = key;
    return [shown];
  }

  #factsOf(run) {
    const entries = [
      ["Trigger", [run.triggerType ?? "–", run.triggeredBy && [" by ", name(run.triggeredBy)]]],
      run.repository && ["Repository", name(run.repository)],
      run.branch && ["Branch", name(run.branch)],
      run.commitSha && ["Commit", [h("code", null, run.commitSha.slice(0, 12)), run.commitMessage && [" ", name(run.commitMessage)]]],
      ["Cluster", h("a", { href: `${this.#app.orgPath}/orchestrators/${encodeURIComponent(run.cluster.name)}/overview` }, name(run.cluster.name))],
      ["Queued", dateTime(run.queuedAt)],
      ["Duration", this.#duration],
      run.parent && ["Repeats", runLink(run.parent)],
      run.cancelledBy && ["Cancelled by", name(run.cancelledBy)],
      run.inputs.length > 0 && ["Inputs", run.inputs.map(({ key, value }) => h("div", null, name(key), " = ", name(value)))],
      ["Run id", h("code", null, run.externalId)],
    ];
    return factCards(entries.filter(Boolean));
  }

  #drawJobs() {
    const wanted = [];
    for (const job of this.#jobs.values()) {
      wanted.push(this.#entry(job, null));
      for (const step of job.steps) wanted.push(this.#entry(job, step));
    }
    const elements = wanted.map(({ element }) => element);
    if (elements.length !== this.#list.children.length || elements.some((element, index) => this.#list.children[index] !== element)) put(this.#list, elements);
    if (elements.length === 0) put(this.#list, h("li", { class: "quiet" }, isOver(this.#run.status) ? "It had no jobs." : "Waiting for the first job…"));
  }

  #entry(job, step) {
    const key = step ? step.id : job.id;
    const entry = this.#buttons.get(key) ?? this.#newEntry(job.id, step?.number ?? null);
    this.#buttons.set(key, entry);
    entry.update(job, step);
    return entry;
  }

  #newEntry(jobId, number) {
    const mark = statusMark("PENDING");
    const title = name("");
    const took = h("span", { class: "quiet" });
    const note = h("span", { class: "quiet job-note" });
    const button = h("button", { class: number === null ? "job" : "step", type: "button", onclick: () => this.#pick(jobId, number) }, mark, title, took, note);
    let thing = null;
    const tick = () => setText(took, tookText(thing, this.#app.clock));
    return {
      element: h("li", null, button),
      button,
      tick,
      update: (job, step) => {
        thing = step ?? job;
        setStatus(mark, thing.status);
        setText(title, thing.name || (step ? (step.number < 0 ? "before the first step" : `step ${step.number + 1}`) : job.externalId));
        setText(note, noteOf(job, step));
        tick();
      },
    };
  }

  #pick(jobId, number) {
    const job = this.#jobs.get(jobId);
    const step = number ?? firstInteresting(job);
    this.#picked = { job: job.externalId, step };
    this.#app.remember({ job: job.externalId, step: String(step) });
    this.#choose();
  }

  /** Show the step that somebody picked; until then the one where something happens. */
  #choose() {
    const jobs = [...this.#jobs.values()];
    const picked = this.#picked && jobs.find(({ externalId }) => externalId === this.#picked.job);
    const job = picked || jobs.find(({ status }) => status === "FAILED") || jobs.find(({ status }) => status === "RUNNING") || (this.#chosen ? this.#jobs.get(this.#chosen.job) : jobs[0]);
    if (!job) return;
    const step = (picked && this.#picked.step) ?? firstInteresting(job);
    const stepId = job.steps.find(({ number }) => number === step)?.id;
    for (const [key, { button }] of this.#buttons) setAttribute(button, "aria-current", (key === stepId || (!stepId && key === job.id)) && "true");
    if (this.#chosen?.job === job.id && this.#chosen.step === step) return;
    this.#chosen = { job: job.id, step };
    this.#log?.close();
    const title = job.steps.find(({ number }) => number === step)?.name ?? job.name;
    this.#log = new LogView(this.#app, { run: this.#run.id, job: job.id, step, title });
    put(this.#right, this.#log.element);
  }

  #cancel() {
    const force = h("input", { type: "checkbox" });
    force.checked = this.#run.status === "CANCELLING";
    ask({
      title: "Cancel this run?",
      confirm: "Cancel the run",
      danger: true,
      body: [h("p", null, "Its jobs are asked to end and may tidy up."), h("label", { class: "check" }, force, "Force: kill them at once")],
      act: async () => {
        const asked = await askFor(CANCEL, { runId: this.#run.id, force: force.checked });
        follow(this.#app, asked, "Cancelling");
      },
    });
  }

  async #rerun() {
    const asked = await attempt(() => askFor(RERUN, { runId: this.#run.id }));
    if (!asked) return;
    follow(this.#app, asked, "Running again");
    this.#app.go(`/runs/${encodeURIComponent(asked.run.externalId)}`);
  }
}

function runLink({ externalId }) {
  return h("a", { href: `/runs/${encodeURIComponent(externalId)}` }, name(externalId));
}

/** The step to look at: the one that failed, else that runs, else the last that wrote something, else the first. */
function firstInteresting(job) {
  const step = job.steps.find(({ status }) => status === "FAILED") ?? job.steps.find(({ status }) => status === "RUNNING");
  return step?.number ?? job.stepsWithLogs.at(-1) ?? job.steps[0]?.number ?? 0;
}

/** What stands below a job or step: why it failed, told once, and where the job runs. */
function noteOf(job, step) {
  if (!step) {
    const told = job.steps.some(({ errorMessage }) => errorMessage && job.errorMessage?.includes(errorMessage));
    return [!told && job.errorMessage, job.agentId && `on ${job.agentId}`].filter(Boolean).join(" · ");
  }
  const { errorMessage, exitCode } = step;
  const said = errorMessage && new RegExp(`\\b${exitCode}\\b`).test(errorMessage);
  return [errorMessage, exitCode && !said && `exit code ${exitCode}`].filter(Boolean).join(" · ");
}
