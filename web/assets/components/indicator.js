// What the page says of its own connection: whether it is live, over what, and how old that makes what is shown.

import { h, put, setAttribute, setText } from "../dom.js";
import { duration } from "../clock.js";
import { openPopover } from "./popover.js";
import { facts } from "./parts.js";

const TICK_MS = 500;
const FRESH_MS = 20_000;

export class Indicator {
  #link;
  #dot = h("span", { class: "dot", "aria-hidden": "true" });
  #word = h("span", { class: "indicator-word" });
  #age = h("span", { class: "indicator-age" });
  #announcer = h("span", { class: "hidden-text", role: "status" });
  #said = null;
  #bannerText = h("span");
  #retry;

  constructor(link) {
    this.#link = link;
    this.button = h(
      "button",
      { class: "indicator", type: "button", "aria-haspopup": "dialog", onclick: () => this.#explain() },
      this.#dot,
      h("span", { class: "hidden-text" }, "Connection: "),
      this.#word,
      " ",
      this.#age,
    );
    this.element = h("div", { class: "indicator-frame" }, this.button, this.#announcer);
    this.#retry = h("button", { class: "button small", type: "button", onclick: () => link.retry() }, "Try now");
    this.banner = h("div", { class: "lost-banner", hidden: true }, this.#bannerText, this.#retry);
    link.onChange(() => this.write());
    setInterval(() => this.write(), TICK_MS);
    this.write();
  }

  /** Whether what is shown is up to date as far as we can know. */
  get fresh() {
    const { phase, dataAge } = this.#link;
    return phase === "live" && (dataAge === null || dataAge < FRESH_MS);
  }

  write() {
    const { phase, dataAge, reason, retryAt } = this.#link;
    const old = dataAge === null ? null : duration(dataAge);
    const silent = phase === "live" && !this.fresh;
    const [word, tone] = silent ? ["Silent", "warn"] : WORDS[phase];
    setAttribute(this.button, "class", `indicator ${tone}`);
    setText(this.#word, word);
    setText(this.#age, old === null ? "" : phase === "live" ? old : `${old} old`);
    const lost = phase === "waiting" || (phase === "connecting" && reason !== "");
    this.banner.hidden = !lost;
    document.documentElement.classList.toggle("is-stale", lost || silent);
    if (lost) setText(this.#bannerText, this.#sentence(reason, old, retryAt));
    setAttribute(this.#retry, "disabled", phase === "connecting");
    if (this.#said !== word) setText(this.#announcer, this.#said === null ? "" : `Connection: ${word}`);
    this.#said = word;
  }

  #sentence(reason, old, retryAt) {
    const shown = old === null ? "Nothing has been received yet." : `What you see is ${old} old.`;
    const wait = retryAt === null ? 0 : Math.ceil((retryAt - performance.now()) / 1000);
    return `Not connected: ${reason}. ${shown} ${wait > 0 ? `Trying again in ${wait} s.` : "Trying again…"}`;
  }

  #explain() {
    const list = h("div");
    const write = () => put(list, facts(this.#facts()));
    write();
    const timer = setInterval(write, TICK_MS);
    openPopover(this.button, {
      label: "Connection",
      content: [h("h3", null, "Connection"), list],
      onclose: () => clearInterval(timer),
    });
  }

  #facts() {
    const { phase, dataAge, reason, transport } = this.#link;
    return [
      ["State", `${WORDS[phase][0]}${phase !== "live" && reason ? `: ${reason}` : ""}`],
      ["Transport", transport],
      ["Last message", dataAge === null ? "none yet" : `${duration(dataAge)} ago`],
      ["Expected", "one at least every 15 s"],
    ];
  }
}

const WORDS = {
  connecting: ["Connecting", "warn"],
  live: ["Live", "good"],
  waiting: ["Disconnected", "bad"],
  ended: ["Signed out", "bad"],
};
