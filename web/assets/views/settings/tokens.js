// Tokens: who may do what in this org, and until when. Dead ones are kept out of the way.

import { h, name, put } from "../../dom.js";
import { age, badge, emptyState, skeleton, state } from "../../components/parts.js";
import { ask, notify } from "../../components/dialog.js";
import { icon } from "../../components/icons.js";
import { tip } from "../../components/tooltip.js";
import { dateTime, duration } from "../../clock.js";
import { byName, plural, words } from "../../fleet/words.js";
import { mutate, request } from "../../graphql/http.js";
import { TOKENS, TOKEN_REVOKE } from "../../settings/documents.js";
import { Reading } from "../../settings/reading.js";
import { createToken } from "./create_token.js";

const SOON_MS = 7 * 86_400_000;
const COLUMNS = ["Name", "Scope", "State", "Last used", "Created", ""];

export class Tokens {
  #app;
  #tokens = null;
  #clusters = [];
  #all = false;
  #body = h("tbody");
  #table = h(
    "div",
    { class: "table-frame", hidden: true },
    h("table", { class: "table tokens" }, h("caption", { class: "hidden-text" }, "Tokens"), h("thead", null, h("tr", null, COLUMNS.map((title) => h("th", { scope: "col" }, title || h("span", { class: "hidden-text" }, "Actions"))))), this.#body),
  );
  #other = h("div", null, skeleton(4));
  #dead = h("button", { class: "button small", type: "button", hidden: true, onclick: () => this.#toggle() });
  #reading;
  button = h("button", { class: "button primary", type: "button", onclick: () => this.#create() }, "Create a token");

  constructor(app) {
    this.#app = app;
    this.#reading = new Reading(app.clock, () => this.#read());
    this.element = h("div", null, this.#table, this.#other, h("p", { class: "row-of-buttons" }, this.#dead), this.#reading.element);
  }

  open() {
    return this.#reading.open();
  }

  refresh() {
    this.#draw();
    this.#reading.write();
  }

  async #read() {
    const { org } = await request(TOKENS, { org: this.#app.session.org.slug });
    return () => {
      this.#tokens = org.tokens;
      this.#clusters = org.clusters.nodes.map((cluster) => cluster.name).sort(byName);
      this.#draw();
    };
  }

  #toggle() {
    this.#all = !this.#all;
    this.#draw();
  }

  #draw() {
    if (this.#tokens === null) return;
    const alive = this.#tokens.filter((token) => !this.#isDead(token));
    const dead = this.#tokens.length - alive.length;
    const shown = (this.#all ? this.#tokens : alive).toSorted((a, b) => byName(a.name, b.name) || a.id.localeCompare(b.id));
    const focused = document.activeElement?.dataset?.revokes;
    put(this.#body, shown.map((token) => this.#row(token)));
    if (focused) (this.#body.querySelector(`[data-revokes="${CSS.escape(focused)}"]`) ?? this.button).focus();
    this.#table.hidden = shown.length === 0;
    put(this.#other, shown.length === 0 && emptyState("No token is active", "Create one for whoever is to see this org."));
    this.#dead.hidden = dead === 0;
    put(this.#dead, this.#all ? "Hide those that no longer work" : `Show ${plural(dead, "token")} that no longer work${dead === 1 ? "s" : ""}`);
  }

  #isDead({ revokedAt, expiresAt }) {
    return revokedAt !== null || (expiresAt !== null && Date.parse(expiresAt) <= this.#app.clock.now());
  }

  #row(token) {
    const { clock, session } = this.#app;
    const own = token.id === session.viewer.tokenId;
    return h("tr", { class: this.#isDead(token) ? "disabled-row" : null }, [
      h("td", null, name(token.name, { class: "title" }), " ", own && badge("you", "info"), h("div", { class: "quiet" }, tip(h("code", null, `${token.prefix}…`), "How the secret begins, to recognise it by"))),
      h("td", { data: { title: "Scope" } }, words(token.scope), token.clusterName && h("div", { class: "quiet" }, "cluster ", name(token.clusterName))),
      h("td", { data: { title: "State" } }, this.#state(token)),
      h("td", { class: "fit", data: { title: "Last used" } }, age(clock, token.lastUsedAt).element),
      h("td", { class: "fit", data: { title: "Created" } }, dateTime(token.createdAt)),
      h("td", { class: "fit" }, !this.#isDead(token) && h("button", { class: "button small", type: "button", data: { revokes: token.id }, "aria-label": `Revoke ${token.name}`, onclick: () => this.#revoke(token, own) }, "Revoke")),
    ]);
  }

  #state({ revokedAt, expiresAt }) {
    if (revokedAt) return tip(state("Revoked", "off"), () => dateTime(revokedAt));
    if (!expiresAt) return state("Active", "good");
    const left = Date.parse(expiresAt) - this.#app.clock.now();
    if (left <= 0) return tip(state("Expired", "off"), () => dateTime(expiresAt));
    return tip(state(`Expires in ${duration(left)}`, left < SOON_MS ? "warn" : "good"), () => dateTime(expiresAt));
  }

  async #create() {
    if (await createToken(this.#app, this.#clusters)) await this.#reading.again();
  }

  async #revoke(token, own) {
    const revoked = await ask({
      title: "Revoke this token?",
      confirm: "Revoke",
      danger: true,
      body: [
        h("p", null, name(token.name, { class: "strong" }), " stops working within a second, for good. What it did stays in the audit log."),
        own && h("p", { class: "failure bad" }, icon("alert"), "You are signed in with it: this page ends, too."),
      ],
      act: () => mutate(TOKEN_REVOKE, { input: { tokenId: token.id } }),
    });
    if (!revoked) return;
    notify(`${token.name} no longer works.`);
    await this.#reading.again();
  }
}
