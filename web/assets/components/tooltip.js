// One tooltip for the whole page, on hover and on keyboard focus. What it says is made when it is shown, so that it is
// never older than the row it explains. Nothing is said only here: details and texts say it too.

import { h, setText } from "../dom.js";

const SHOW_AFTER_MS = 350;

const texts = new WeakMap();
let bubble = null;
let owner = null;
let timer = null;

/** Explain an element: `text` is a string, or a function that returns one (or null for nothing). */
export function tip(element, text) {
  texts.set(element, text);
  element.dataset.tip = "";
  return element;
}

function show(element) {
  const text = texts.get(element);
  const said = typeof text === "function" ? text() : text;
  if (!said || !element.isConnected) return;
  bubble ??= document.body.appendChild(h("div", { class: "tooltip", popover: "manual", "aria-hidden": "true" }));
  setText(bubble, said);
  owner = element;
  bubble.showPopover();
  const at = element.getBoundingClientRect();
  const size = bubble.getBoundingClientRect();
  const above = at.top - size.height - 6;
  const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), innerWidth - size.width - 8);
  bubble.style.setProperty("left", `${left}px`);
  bubble.style.setProperty("top", `${above > 4 ? above : at.bottom + 6}px`);
}

function hide() {
  clearTimeout(timer);
  owner = null;
  if (bubble?.matches(":popover-open")) bubble.hidePopover();
}

function soon(element) {
  if (element === owner) return;
  hide();
  if (element) timer = setTimeout(() => show(element), SHOW_AFTER_MS);
}

document.addEventListener("pointerover", ({ target, pointerType }) => {
  if (pointerType !== "touch") soon(target.closest?.("[data-tip]") ?? null);
});
document.addEventListener("focusin", ({ target }) => {
  if (target.matches?.("[data-tip]:focus-visible")) soon(target);
});
document.addEventListener("focusout", hide);
document.addEventListener("pointerdown", hide);
document.addEventListener("scroll", hide, { passive: true, capture: true });
document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
