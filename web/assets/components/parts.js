// Small parts that several pages show.

import { h, name, put, setAttribute, setText } from "../dom.js";
import { dateTime, duration } from "../clock.js";
import { tip } from "./tooltip.js";
import { openPopover } from "./popover.js";

/** A state: a dot and a word, so that colour is never all there is. Update with `setState`. */
export function state(word, tone) {
  return h("span", { class: `state ${tone}` }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", null, word));
}

export function setState(node, word, tone) {
  setAttribute(node, "class", `state ${tone}`);
  setText(node.lastChild, word);
}

export function badge(text, tone = "") {
  return h("span", { class: `badge ${tone}`.trim() }, text);
}

/** A bar for a share of something. Its figures stand beside it as text. */
export function meter() {
  const bar = h("span", { class: "meter-bar" });
  return { element: h("span", { class: "meter", "aria-hidden": "true" }, bar), bar };
}

/** With `alarm`, a bar that is nearly full looks like it. */
export function setMeter({ element, bar }, part, whole, { alarm = false } = {}) {
  const share = whole > 0 ? Math.min(1, part / whole) : 0;
  const width = `${Math.round(share * 100)}%`;
  if (bar.style.width !== width) bar.style.setProperty("width", width);
  setAttribute(element, "class", alarm && share >= 0.9 ? "meter full" : "meter");
}

/** A row of labels: those of users first; the rest is one click away. */
export function labelRow(labels, owner, most) {
  const sorted = [...labels].sort((a, b) => (a.kind === "AUTO") - (b.kind === "AUTO"));
  const shown = sorted.length > most + 1 ? sorted.slice(0, most) : sorted;
  const row = h("span", { class: "labels" }, shown.map(label));
  if (shown.length < sorted.length) {
    const more = h("button", { class: "label more", type: "button", tabindex: "-1", "aria-haspopup": "dialog" }, `+${sorted.length - shown.length}`);
    more.setAttribute("aria-label", `All ${sorted.length} labels of ${owner}`);
    more.addEventListener("click", () =>
      openPopover(more, {
        label: `Labels of ${owner}`,
        content: [h("h3", null, `${sorted.length} labels`), h("div", { class: "labels wrap" }, sorted.map(label))],
      }),
    );
    row.append(more);
  }
  return row;
}

export function label({ name: text, kind }) {
  const automatic = kind === "AUTO";
  return tip(
    h("bdi", { class: `label ${automatic ? "auto" : "user"}` }, text),
    `${text}\n${automatic ? "Automatic: set by KiCI itself" : "Set by a user"}`,
  );
}

/** A table of names and values, such as a configuration. */
export function facts(entries) {
  return h("dl", { class: "facts" }, entries.map(([term, value]) => [h("dt", null, term), h("dd", null, value)]));
}

/** The same, side by side. */
export function factCards(entries) {
  return h("dl", { class: "card fact-cards" }, entries.map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, value))));
}

/** An age that is written anew by `write()`, with the point in time as its tooltip. */
export function age(clock, at, { none = "never", suffix = " ago" } = {}) {
  const element = h("time", { class: "age" });
  let time = at;
  const write = () => {
    const ms = clock.since(time);
    setText(element, ms === null ? none : `${duration(ms)}${suffix}`);
  };
  tip(element, () => (time ? dateTime(time) : null));
  write();
  return {
    element,
    write,
    set(next) {
      time = next;
      write();
    },
  };
}

/** What stands where nothing is: what that means and what to do. */
export function emptyState(title, ...body) {
  return h("div", { class: "empty" }, h("h2", null, title), body.map((each) => (typeof each === "string" ? h("p", null, each) : each)));
}

/** Grey lines where something will be. */
export function skeleton(lines = 5) {
  return h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: lines }, () => h("div", { class: "bone" })));
}

export function pageHead(title, ...beside) {
  return h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, title), beside);
}

export { name, put };
