// A step's log: any number of lines, of which only those in sight exist; search, follow, gaps that are told.

import { h, oncePerFrame, put, setText } from "../../dom.js";
import { icon } from "../../components/icons.js";
import { messageOf, notify } from "../../components/dialog.js";
import { request } from "../../graphql/http.js";
import { Stream } from "../../graphql/stream.js";
import { LOG_PAGE, RUN_LOG } from "../../runs/documents.js";
import { plain, styled } from "./ansi.js";

const PAGE_LINES = 1000;
const OVERSCAN_LINES = 20;
const LINE_PX = 20;
/** A page that is open for days forgets the oldest lines; the server has them. */
const MOST_LINES = 200_000;

export class LogView {
  #app;
  #items = [];
  #first = 0;
  #last = -1;
  #widest = 0;
  #following = true;
  #found = [];
  #at = -1;
  #closeStream = null;
  #closed = false;
  #source;
  #body = h("div", { class: "log-body" });
  #frame = h("div", { class: "log", tabindex: "0", role: "region" }, this.#body);
  #status = h("span", { class: "quiet", role: "status" });
  #count = h("span", { class: "quiet" });
  #earlier = h("button", { class: "button small", type: "button", hidden: true, onclick: () => this.#loadEarlier() }, "Earlier lines");
  #end = h("button", { class: "button small", type: "button", onclick: () => this.#follow(true) }, icon("down"), "Jump to end");
  #followBox = h("input", { type: "checkbox", checked: true, onchange: () => this.#follow(this.#followBox.checked) });
  #search = h("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log", data: { shortcut: "/" } });
  #draw = oncePerFrame(() => this.#redraw());

  /** `source` is `{run, job, step, title}`. */
  constructor(app, source) {
    this.#app = app;
    this.#source = source;
    this.#frame.setAttribute("aria-label", `Log of ${source.title}`);
    this.#frame.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#search.addEventListener("input", () => this.#find());
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#next(event.shiftKey ? -1 : 1);
    });
    this.element = h(
      "section",
      { class: "log-frame", "aria-label": "Log" },
      h("div", { class: "log-bar" }, h("label", { class: "search-field" }, icon("search"), this.#search), this.#count, h("span", { class: "grow" }), this.#status, this.#earlier, h("label", { class: "check" }, this.#followBox, "Follow"), this.#end),
      this.#frame,
    );
    this.resized = () => this.#draw();
    addEventListener("resize", this.resized);
    this.#begin();
  }

  close() {
    this.#closed = true;
    this.#closeStream?.();
    removeEventListener("resize", this.resized);
  }

  /** The newest lines first, so that a log of a million lines opens at once; then whatever comes. */
  async #begin() {
    try {
      const page = await this.#page({ last: PAGE_LINES });
      if (this.#closed) return;
      this.#take(page.lines, page.gaps);
      this.#first = page.lines[0]?.number ?? 0;
      this.#earlier.hidden = !page.hasMore;
    } catch {
      // The stream tells the same from the start.
    }
    if (this.#closed) return;
    const { run, job, step } = this.#source;
    const stream = new Stream({
      document: RUN_LOG,
      variables: { run, job, step, afterLine: this.#last },
      resume: () => ({ afterLine: this.#last }),
      take: (frame) => this.#takeFrame(frame),
      failed: (errors) => setText(this.#status, errors[0]?.message ?? "The log can’t be read."),
    });
    this.#closeStream = this.#app.link.open(stream);
  }

  async #page(range) {
    const { job, step } = this.#source;
    const { node } = await request(LOG_PAGE, { job, step, ...range });
    return node?.log ?? { lines: [], gaps: [], hasMore: false };
  }

  #takeFrame(frame) {
    for (const part of [frame.snapshot, ...frame.events].filter(Boolean)) {
      if (part.lines) this.#take(part.lines, part.gaps);
      if (part.__typename === "LogEnd") {
        this.#closeStream();
        setText(this.#status, this.#items.length ? "" : "This step wrote nothing.");
      }
    }
    if (this.#items.length === 0 && !this.#status.textContent) setText(this.#status, "Waiting for the first line…");
  }

  #take(lines, gaps) {
    const added = [...gaps.map((gap) => ({ number: gap.fromLine, gap })), ...lines.map(({ number, text }) => ({ number, text }))];
    added.sort((a, b) => a.number - b.number);
    // A line that came before the connection broke may come again behind it.
    const fresh = added.filter(({ number }) => number > this.#last);
    if (fresh.length === 0) return;
    this.#items.push(...fresh);
    const newest = fresh.at(-1);
    this.#last = newest.gap ? newest.gap.toLine : newest.number;
    if (this.#items.length > MOST_LINES) {
      this.#items.splice(0, this.#items.length - MOST_LINES);
      this.#first = this.#items[0].number;
      this.#earlier.hidden = false;
    }
    if (this.#status.textContent.startsWith("Waiting")) setText(this.#status, "");
    if (this.#search.value) this.#match(fresh, this.#items.length - fresh.length);
    this.#draw();
  }

  async #loadEarlier() {
    this.#earlier.disabled = true;
    try {
      const page = await this.#page({ before: this.#first, last: PAGE_LINES });
      const added = [...page.gaps.map((gap) => ({ number: gap.fromLine, gap })), ...page.lines];
      added.sort((a, b) => a.number - b.number);
      this.#items.unshift(...added);
      this.#first = page.lines[0]?.number ?? 0;
      this.#earlier.hidden = !page.hasMore;
      this.#follow(false);
      this.#frame.scrollTop += added.length * LINE_PX;
      this.#find();
      this.#draw();
    } catch (error) {
      notify(messageOf(error), "bad");
    } finally {
      this.#earlier.disabled = false;
    }
  }

  #scrolled() {
    const rest = this.#frame.scrollHeight - this.#frame.scrollTop - this.#frame.clientHeight;
    this.#follow(rest < 2 * LINE_PX);
  }

  #follow(following) {
    this.#following = following;
    this.#followBox.checked = following;
    this.#draw();
  }

  #redraw() {
    const { clientHeight } = this.#frame;
    this.#body.style.setProperty("height", `${this.#items.length * LINE_PX}px`);
    if (this.#following) this.#frame.scrollTop = this.#items.length * LINE_PX;
    this.#end.disabled = this.#following;
    const from = Math.max(0, Math.floor(this.#frame.scrollTop / LINE_PX) - OVERSCAN_LINES);
    const to = Math.min(this.#items.length, from + Math.ceil(clientHeight / LINE_PX) + 2 * OVERSCAN_LINES);
    const text = this.#search.value.toLowerCase();
    const lines = [];
    for (let index = from; index < to; index++) lines.push(this.#line(index, text));
    put(this.#body, lines);
    // Wide lines scroll sideways; what was once wide stays so, or the page would jump.
    this.#widest = Math.max(this.#widest, ...lines.map((line) => line.textContent.length));
    this.#body.style.setProperty("min-width", `${Math.min(this.#widest, 20_000) + 8}ch`);
  }

  #line(index, text) {
    const item = this.#items[index];
    const current = this.#found[this.#at] === index;
    const line = item.gap
      ? h("div", { class: "log-line gap" }, gapText(item.gap))
      : h("div", { class: `log-line ${current ? "current" : ""}`.trim() }, h("span", { class: "log-number", "aria-hidden": "true" }, String(item.number + 1)), h("bdi", null, content(item.text, text)));
    line.style.setProperty("top", `${index * LINE_PX}px`);
    return line;
  }

  #find() {
    this.#found = [];
    this.#at = -1;
    if (this.#search.value) this.#match(this.#items, 0);
    if (this.#found.length) this.#next(1);
    else setText(this.#count, this.#search.value ? "nothing found" : "");
    this.#draw();
  }

  #match(items, offset) {
    const text = this.#search.value.toLowerCase();
    items.forEach((item, index) => {
      if (!item.gap && plain(item.text).toLowerCase().includes(text)) this.#found.push(offset + index);
    });
    this.#tellFound();
  }

  #next(step) {
    if (this.#found.length === 0) return;
    this.#at = (this.#at + step + this.#found.length) % this.#found.length;
    this.#following = false;
    this.#frame.scrollTop = this.#found[this.#at] * LINE_PX - this.#frame.clientHeight / 2;
    this.#tellFound();
    this.#draw();
  }

  #tellFound() {
    setText(this.#count, `${this.#at + 1} of ${this.#found.length}`);
  }
}

function gapText({ fromLine, toLine }) {
  return fromLine === toLine ? `Line ${fromLine + 1} is missing: it was not reported, or not kept` : `Lines ${fromLine + 1} to ${toLine + 1} are missing: they were not reported, or not kept`;
}

function content(text, searched) {
  if (!searched) return styled(text).map(({ text: part, style }) => (style ? h("span", { class: style }, part) : part));
  const whole = plain(text);
  const nodes = [];
  let end = 0;
  for (let at = whole.toLowerCase().indexOf(searched); at >= 0; at = whole.toLowerCase().indexOf(searched, end)) {
    nodes.push(whole.slice(end, at), h("mark", null, whole.slice(at, at + searched.length)));
    end = at + searched.length;
  }
  return [nodes, whole.slice(end)];
}
