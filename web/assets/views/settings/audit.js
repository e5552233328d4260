// The audit log: every change that was tried, by whom, and how it ended. The newest first.

import { h, name, put } from "../../dom.js";
import { emptyState, skeleton, state } from "../../components/parts.js";
import { messageOf, notify } from "../../components/dialog.js";
import { tip } from "../../components/tooltip.js";
import { dateTime, duration } from "../../clock.js";
import { words } from "../../fleet/words.js";
import { request } from "../../graphql/http.js";
import { ACTIONS } from "../../session.js";
import { AUDIT, SUBJECTS } from "../../settings/documents.js";
import { Reading } from "../../settings/reading.js";

const TYPING_MS = 250;
const COLUMNS = ["When", "Token", "Action", "About", "Outcome", "Request"];
const KINDS = { SecretBackend: "secret backend" };
const OUTCOMES = { SUCCEEDED: ["Done", "good"], REFUSED: ["Refused", "bad"] };
const TIMES = [
  ["", "Any time"],
  ["1", "Last hour"],
  ["24", "Last 24 hours"],
  ["168", "Last 7 days"],
];

/** What the filters ask of the server. */
function whereOf({ action, token, outcome, hours, whose }, now) {
  return {
    action: { ...(action && { contains: action }), ...(!whose && { oneOf: ACTIONS }) },
    ...(token && { tokenName: { contains: token } }),
    ...(outcome && { outcome }),
    ...(hours && { at: { since: new Date(now - Number(hours) * 3_600_000).toISOString() } }),
  };
}

export class Audit {
  #app;
  #entries = null;
  #subjects = new Map();
  #after = null;
  #more = false;
  #where = {};
  #body = h("tbody");
  #table = h(
    "div",
    { class: "table-frame", hidden: true },
    h("table", { class: "table" }, h("caption", { class: "hidden-text" }, "Audit log"), h("thead", null, h("tr", null, COLUMNS.map((title) => h("th", { scope: "col" }, title)))), this.#body),
  );
  #other = h("div", null, skeleton(6));
  #older = h("button", { class: "button", type: "button", hidden: true, onclick: () => this.#loadOlder() }, "Older entries");
  #reading;

  constructor(app, address) {
    this.#app = app;
    this.#reading = new Reading(app.clock, () => this.#read());
    this.element = h("div", null, this.#filters(address), this.#table, this.#other, h("p", { class: "row-of-buttons" }, this.#older), this.#reading.element);
  }

  open() {
    return this.#reading.open();
  }

  refresh() {
    this.#draw();
    this.#reading.write();
  }

  #filters(address) {
    const given = (key) => address.searchParams.get(key) ?? "";
    const search = (key, title) => h("input", { type: "search", placeholder: title, "aria-label": `Filter by ${title.toLowerCase()}`, value: given(key) });
    const select = (key, title, options) => {
      const field = h("select", { "aria-label": title }, options.map(([value, text]) => h("option", { value }, text)));
      field.value = options.some(([value]) => value === given(key)) ? given(key) : "";
      return field;
    };
    const fields = {
      action: search("action", "Action"),
      token: search("token", "Token"),
      outcome: select("outcome", "Outcome", [["", "Any outcome"], ...Object.entries(OUTCOMES).map(([value, [text]]) => [value, text])]),
      hours: select("hours", "Time", TIMES),
      // Orchestrators report all day long; what people did would drown in it.
      whose: select("whose", "Whose acts", [["", "Acts of people"], ["all", "Reports of orchestrators, too"]]),
    };
    fields.action.dataset.shortcut = "/";
    const values = () => Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value.trim()]));
    let timer = null;
    const apply = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        this.#app.remember(values());
        this.#where = whereOf(values(), this.#app.clock.now());
        this.#entries = null;
        this.#reading.again();
      }, TYPING_MS);
    };
    for (const field of Object.values(fields)) field.addEventListener("input", apply);
    this.#where = whereOf(values(), this.#app.clock.now());
    return h("div", { class: "toolbar filters" }, Object.values(fields));
  }

  async #page(after) {
    const { org } = await request(AUDIT, { org: this.#app.session.org.slug, where: this.#where, after });
    const ids = [...new Set(org.auditLog.nodes.map(({ objectId }) => objectId))].filter((id) => id && !this.#subjects.has(id));
    if (ids.length === 0) return org.auditLog;
    const { nodes } = await request(SUBJECTS, { ids });
    ids.forEach((id, index) => this.#subjects.set(id, nodes[index]));
    return org.auditLog;
  }

  async #read() {
    const page = await this.#page(null);
    return () => {
      this.#join(page);
      this.#draw();
    };
  }

  /** Put the newest page before what is known already; start anew when the two don't meet. */
  #join({ nodes, pageInfo }) {
    const known = new Set(this.#entries?.map(({ id }) => id));
    const met = nodes.findIndex(({ id }) => known.has(id));
    if (met >= 0) return void this.#entries.unshift(...nodes.slice(0, met));
    this.#entries = nodes;
    this.#after = pageInfo.endCursor;
    this.#more = pageInfo.hasNextPage;
    return undefined;
  }

  async #loadOlder() {
    this.#older.disabled = true;
    const before = this.#entries;
    try {
      const { nodes, pageInfo } = await this.#page(this.#after);
      if (before !== this.#entries) return; // another filter by now
      this.#entries.push(...nodes);
      this.#after = pageInfo.endCursor;
      this.#more = pageInfo.hasNextPage;
      this.#draw();
    } catch (error) {
      notify(messageOf(error), "bad");
    } finally {
      this.#older.disabled = false;
    }
  }

  #draw() {
    if (this.#entries === null) return;
    put(this.#body, this.#entries.map((entry) => this.#row(entry)));
    this.#table.hidden = this.#entries.length === 0;
    this.#older.hidden = !this.#more;
    put(this.#other, this.#entries.length === 0 && emptyState("No entry fits the filters", "Every change that anybody tries leaves one here, refused ones too."));
  }

  #row({ at, tokenName, action, objectId, outcome, errorCode, detail, requestId }) {
    const [word, tone] = OUTCOMES[outcome] ?? [words(outcome), "off"];
    const why = [errorCode, detail].filter(Boolean).join(": ");
    return h("tr", null, [
      h("td", { class: "fit", data: { title: "When" } }, tip(h("time", null, dateTime(at)), () => `${duration(this.#app.clock.since(at))} ago`)),
      h("td", { data: { title: "Token" } }, tokenName ? name(tokenName) : h("span", { class: "quiet" }, "none")),
      h("td", { data: { title: "Action" } }, h("code", null, action)),
      h("td", { data: { title: "About" } }, this.#subject(objectId)),
      h("td", { data: { title: "Outcome" } }, state(word, tone), why && h("div", { class: "quiet" }, name(why))),
      h("td", { class: "fit", data: { title: "Request" } }, requestId && tip(h("code", { class: "quiet" }, requestId.slice(0, 8)), `${requestId}\nThe server’s log names the same`)),
    ]);
  }

  #subject(id) {
    if (!id) return h("span", { class: "quiet" }, "–");
    const found = this.#subjects.get(id);
    if (!found?.title) return tip(h("code", { class: "quiet" }, id.slice(0, 12)), id);
    const title = name(found.title, { class: "clipped" });
    const shown = found.__typename === "Run" ? h("a", { href: `/runs/${encodeURIComponent(found.externalId)}` }, title) : title;
    return [h("span", { class: "quiet" }, KINDS[found.__typename] ?? found.__typename.toLowerCase(), " "), shown];
  }
}
