// A text that is meant to be taken elsewhere, with a button that copies it.

import { h, put, setAttribute } from "../dom.js";
import { icon } from "./icons.js";

const TOLD_MS = 2000;

/** `text` in one line or several, selected as a whole by a click, for browsers that lend no clipboard to plain http. */
export function copyable(text, what = "Copy") {
  const code = h("code", { class: "command" }, text);
  if (!navigator.clipboard) return code;
  const said = h("span", { class: "hidden-text", role: "status" });
  const button = h("button", { class: "icon-button", type: "button", "aria-label": what }, icon("copy"));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return void getSelection().selectAllChildren(code);
    }
    told(button, said);
  });
  return h("span", { class: "copyable" }, code, button, said);
}

function told(button, said) {
  put(button, icon("check"));
  put(said, "Copied");
  setAttribute(button, "data-done", "");
  setTimeout(() => {
    put(button, icon("copy"));
    put(said);
    setAttribute(button, "data-done", null);
  }, TOLD_MS);
}
