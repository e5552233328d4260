// The alerts banner: what is wrong, since when, who is on it; and taking it on.

import { h, name, oncePerFrame, put } from "../../dom.js";
import { dateTime, duration } from "../../clock.js";
import { age, badge } from "../../components/parts.js";
import { icon } from "../../components/icons.js";
import { tip } from "../../components/tooltip.js";
import { plural, words } from "../../fleet/words.js";

const TONES = { CRITICAL: "bad", WARNING: "warn", INFO: "info" };
/** More than these fold away, but never a single one. */
const SHOWN = 4;

export class Alerts {
  #fleet;
  #clock;
  #permission;
  #reveal;
  #all = false;
  #ages = [];
  #list = h("ul", { class: "alert-list" });
  #foot = h("div", { class: "alert-foot" });
  #summary = h("span", null, "");
  #draw = oncePerFrame(() => this.#redraw());

  /** `permission` says whether the viewer may acknowledge; `reveal(id)` shows what an alert is about. */
  constructor({ fleet, clock, permission, reveal }) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#permission = permission;
    this.#reveal = reveal;
    this.element = h("section", { class: "alerts", "aria-label": "Alerts" }, h("h2", { class: "hidden-text" }, "Alerts"), this.#summary, this.#list, this.#foot);
  }

  change(ids) {
    for (const id of ids) if (this.#shown.has(id) || this.#fleet.alerts.has(id)) return this.#draw();
    return undefined;
  }

  #shown = new Set();

  draw() {
    this.#draw();
  }

  tick() {
    for (const each of this.#ages) each.write();
  }

  #redraw() {
    // The button that somebody is about to press must not be exchanged under his finger.
    const focused = document.activeElement?.closest?.(".alert")?.dataset.id;
    const alerts = this.#fleet.openAlerts();
    const shown = this.#all || alerts.length <= SHOWN + 1 ? alerts : alerts.slice(0, SHOWN);
    this.#shown = new Set(alerts.map(({ id }) => id));
    this.#ages = [];
    put(this.#list, shown.map((alert) => this.#alert(alert)));
    put(this.#summary, alerts.length === 0 && h("p", { class: "calm" }, icon("check"), "No open alerts"));
    put(this.#foot, alerts.length > SHOWN + 1 && this.#more(alerts.length));
    if (focused) this.#list.querySelector(`[data-id="${CSS.escape(focused)}"] button:last-of-type`)?.focus();
  }

  #more(count) {
    const toggle = () => {
      this.#all = !this.#all;
      this.#redraw();
      this.#foot.querySelector("button").focus();
    };
    return h("button", { class: "button small", type: "button", onclick: toggle }, this.#all ? "Show fewer" : `Show all ${count} alerts`);
  }

  #alert(alert) {
    const since = age(this.#clock, alert.openedAt);
    this.#ages.push(since);
    const taken = alert.state === "ACKNOWLEDGED";
    return h(
      "li",
      { class: `alert ${TONES[alert.severity] ?? "info"} ${taken ? "taken" : ""}`, data: { id: alert.id } },
      icon("alert"),
      h(
        "div",
        { class: "alert-text" },
        h("div", { class: "message" }, h("strong", { class: "severity" }, words(alert.severity)), " ", name(alert.message)),
        h(
          "div",
          { class: "quiet about" },
          words(alert.kind),
          " · ",
          since.element,
          alert.flapCount > 0 && [" · ", tip(badge(`${plural(alert.flapCount, "time")} before`), "It was resolved and came back")],
          taken && [" · ", acknowledgement(alert.acknowledgement, this.#clock)],
        ),
      ),
      h("div", { class: "alert-actions" }, this.#show(alert), !taken && this.#take(alert)),
    );
  }

  #show(alert) {
    if (!alert.subjectId || !this.#fleet.find(alert.subjectId)) return null;
    return h("button", { class: "button small", type: "button", onclick: () => this.#reveal(alert.subjectId) }, "Show");
  }

  #take(alert) {
    const { allowed, reason } = this.#permission;
    const button = h("button", { class: "button small", type: "button", onclick: () => this.#acknowledge(alert) }, "Acknowledge");
    button.disabled = !allowed;
    return allowed ? button : tip(h("span", { class: "wrap-disabled" }, button), reason);
  }

  async #acknowledge(alert) {
    (await import("./acknowledge.js")).acknowledge(alert, this.#clock);
  }
}

function acknowledgement({ by, at, note, until }, clock) {
  const what = h("span", { class: "taken-by" }, "taken on by ", name(by), note && [": ", name(`“${note}”`)], until && ` until ${dateTime(until)}`);
  return tip(what, () => `${duration(clock.since(at))} ago, at ${dateTime(at)}`);
}
