// A question that has to be answered before anything else happens, and the short notice at the page's foot.

import { h, put } from "../dom.js";
import { RequestFailed } from "../graphql/http.js";

/** Tell something that has to be read. Resolves when it is closed. */
export function tell({ title, body, confirm = "Close" }) {
  return ask({ title, body, confirm, cancel: false, act: () => {} });
}

/**
 * Ask. `body` are nodes; `confirm` is the button's word; `act()` does it and may raise RequestFailed, which is shown in
 * the dialog and leaves it open. Resolves to whether it was done.
 */
export function ask({ title, body = [], confirm, danger = false, cancel: escapable = true, act }) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const button = h("button", { class: danger ? "button danger" : "button primary", type: "submit" }, confirm);
  const cancel = h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), body, problem, h("div", { class: "dialog-actions" }, escapable && cancel, button));
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, form);
  let done = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    try {
      await act();
      done = true;
      dialog.close();
    } catch (error) {
      put(problem, messageOf(error));
      problem.hidden = false;
      button.disabled = false;
      button.focus();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
  });
}

/** What to say of a failed request: what happened, and what to do. */
export function messageOf(error) {
  if (!(error instanceof RequestFailed)) throw error;
  return error.hint ? `${sentence(error.message)} ${sentence(error.hint)}` : sentence(error.message);
}

function sentence(text) {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?…]$/.test(trimmed) ? "" : ".");
}

const NOTICE_MS = 6000;
let region = null;

/** Say something that needs no answer. A screen reader reads it out. */
export function notify(text, tone = "info") {
  region ??= document.body.appendChild(h("div", { class: "notices", role: "status", "aria-live": "polite" }));
  const notice = h("div", { class: `notice ${tone}` }, text);
  region.append(notice);
  setTimeout(() => notice.remove(), NOTICE_MS);
}
