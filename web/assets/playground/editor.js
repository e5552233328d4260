// A text field for GraphQL that colours what is typed into it. The colours are a copy of the text behind the field, so
// that typing, selecting and undoing stay the browser's own.

import { h, put } from "../dom.js";

const TOKENS =
  /(?<comment>#[^\n]*)|(?<string>"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"?)|(?<variable>\$\w+)|(?<number>-?\b\d[\d.eE+-]*)|(?<directive>@\w+)|(?<keyword>\b(?:query|mutation|subscription|fragment|on|true|false|null)\b)|(?<type>\b[A-Z]\w*)/g;

/** `{element, field}`; `oninput()` after each change. */
export function editor(value, oninput) {
  const field = h("textarea", {
    id: "document",
    class: "code",
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    "aria-label": "GraphQL document",
  });
  field.value = value;
  const colours = h("pre", { class: "code colours", "aria-hidden": "true" });
  const draw = () => put(colours, coloured(field.value), "\n");
  field.addEventListener("input", () => {
    draw();
    oninput();
  });
  field.addEventListener("scroll", () => {
    colours.scrollTop = field.scrollTop;
    colours.scrollLeft = field.scrollLeft;
  });
  field.addEventListener("keydown", (event) => event.key === "Enter" && !event.ctrlKey && !event.metaKey && indent(event, field));
  draw();
  return {
    element: h("div", { class: "editor" }, colours, field),
    field,
    set(text) {
      field.value = text;
      draw();
      oninput();
    },
  };
}

/** The text as nodes, each token in a span of its class. */
export function coloured(text, tokens = TOKENS) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(tokens)) {
    const [kind] = Object.entries(match.groups).find(([, value]) => value !== undefined);
    if (match.index > end) nodes.push(text.slice(end, match.index));
    nodes.push(h("span", { class: `token-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

const JSON_TOKENS = /(?<key>"(?:\\.|[^"\\])*"(?=\s*:))|(?<string>"(?:\\.|[^"\\])*")|(?<number>-?\b\d[\d.eE+-]*)|(?<keyword>\b(?:true|false|null)\b)/g;
const MOST_COLOURED = 200_000;

/** A JSON value, readable. Very long ones stay without colours, so that the page stays quick. */
export function json(value) {
  const text = JSON.stringify(value, null, 2);
  return h("pre", { class: "code" }, text.length > MOST_COLOURED ? text : coloured(text, JSON_TOKENS));
}

/** A new line begins where the one above it began, and deeper behind a brace. */
function indent(event, field) {
  const before = field.value.slice(0, field.selectionStart);
  const line = before.slice(before.lastIndexOf("\n") + 1);
  const depth = /^ */.exec(line)[0] + (/[{([]\s*$/.test(line) ? "  " : "");
  if (!depth) return;
  event.preventDefault();
  // Not `setRangeText`: this one can be undone.
  document.execCommand("insertText", false, `\n${depth}`);
}
