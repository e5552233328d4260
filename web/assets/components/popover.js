// A panel beside the button that opened it: menus, configurations, details. Escape or a click elsewhere closes it, and
// the focus goes back to where it came from.

import { h } from "../dom.js";
import { icon } from "./icons.js";

let opened = null;

/**
 * Open a panel at `anchor`; a second call for the same anchor closes it. `onclose` is called at the end. Returns a
 * function that closes it, or null when the call closed it.
 */
export function openPopover(anchor, { label, content, role = "dialog", onclose = () => {}, className = "" }) {
  if (opened?.anchor === anchor) {
    opened.close();
    return null;
  }
  opened?.close();
  const close = () => panel.isConnected && panel.hidePopover();
  const shut = h("button", { class: "icon-button popover-close", type: "button", "aria-label": "Close", onclick: close }, icon("close"));
  const panel = h("div", { class: `popover ${className}`, popover: "auto", role, "aria-label": label, tabindex: "-1" }, role === "dialog" && shut, content);
  // A menu belongs to the landmark of its button; a dialog is one of its own.
  ((role === "menu" && anchor.closest("header, section")) || document.body).append(panel);
  panel.addEventListener("toggle", ({ newState }) => {
    if (newState !== "closed") return;
    const hadFocus = panel.contains(document.activeElement) || document.activeElement === document.body;
    // The same click that closes us may be one on our anchor: that one must not open us again.
    setTimeout(() => opened?.panel === panel && (opened = null));
    panel.remove();
    announce(anchor, false);
    if (hadFocus && anchor.isConnected) anchor.focus({ preventScroll: true });
    onclose();
  });
  opened = { anchor, panel, close };
  panel.showPopover();
  place(panel, anchor);
  announce(anchor, true);
  (panel.querySelector("[autofocus], a[href], button, input, [tabindex='0']") ?? panel).focus({ preventScroll: true });
  return close;
}

/** Only buttons that promise a panel say whether it is open; a row of a tree says other things with that attribute. */
function announce(anchor, open) {
  if (anchor.hasAttribute("aria-haspopup")) anchor.setAttribute("aria-expanded", String(open));
}

function place(panel, anchor) {
  const at = anchor.getBoundingClientRect();
  const size = panel.getBoundingClientRect();
  const below = at.bottom + 6;
  const top = below + size.height <= innerHeight - 8 ? below : Math.max(8, at.top - size.height - 6);
  const left = Math.min(Math.max(8, at.right - size.width), innerWidth - size.width - 8);
  panel.style.setProperty("left", `${left}px`);
  panel.style.setProperty("top", `${Math.min(top, Math.max(8, innerHeight - size.height - 8))}px`);
}

/** A menu: `items` are `{label, note, checked, run}` or `{label, href}`; arrow keys move, as everybody expects. */
export function openMenu(anchor, label, items) {
  let close = null;
  const entries = items.map((item) => entry(item, () => close?.()));
  const menu = h("div", { class: items.some(({ checked }) => checked !== undefined) ? "menu marked" : "menu" }, entries);
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = entries.indexOf(document.activeElement);
    entries.at((at + step + entries.length) % entries.length).focus();
  });
  close = openPopover(anchor, { label, content: menu, role: "menu", className: "as-menu" });
  return close;
}

function entry({ label, note, checked, href, run }, close) {
  const content = [
    h("span", { class: "menu-mark", "aria-hidden": "true" }, checked ? "✓" : ""),
    h("span", { class: "menu-text" }, label, note && h("small", null, note)),
  ];
  if (href) return h("a", { class: "menu-item", role: "menuitem", href, onclick: close }, content);
  const act = () => {
    close();
    run();
  };
  const role = checked === undefined ? "menuitem" : "menuitemradio";
  const state = checked === undefined ? {} : { "aria-checked": String(checked) };
  return h("button", { class: "menu-item", type: "button", role, ...state, onclick: act }, content);
}
