// The few pictures of the page, drawn here. They say nothing that no text beside them says.

import { setAttribute, svg } from "../dom.js";

const PATHS = {
  caret: "M6 4l4 4-4 4",
  info: "M8 7v4M8 4.6v.2M8 14A6 6 0 108 2a6 6 0 000 12z",
  gear: "M3 4.5h6M12 4.5h1M3 11.5h1M7 11.5h6M9 3v3M4.500 10v3",
  check: "M3 8.500l3.200 3.200L13 4.800",
  alert: "M8 2.500l6 10.500H2zM8 6.500v3M8 11.200v.2",
  close: "M4 4l8 8M12 4l-8 8",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 9.500A5.500 5.500 0 016.500 3 5.500 5.500 0 1013 9.500z",
  system: "M2 3h12v8H2zM6 14h4M8 11v3",
  clock: "M8 14A6 6 0 108 2a6 6 0 000 12zM8 4.500V8l2.500 1.500",
  user: "M8 8a2.700 2.700 0 100-5.400A2.700 2.700 0 008 8zM3 14c.500-3 2.500-4 5-4s4.500 1 5 4",
  workflows: "M3 3h4v4H3zM9 9h4v4H9zM5 7v4h4",
  runs: "M5 3l8 5-8 5z",
  diagnostics: "M1.500 8H5l1.500-4 3 8L11 8h3.500",
  orchestrators: "M3 3h10v4H3zM3 9h10v4H3zM5.500 5v.1M5.500 11v.1",
  play: "M5 3l8 5-8 5z",
  success: "M8 14A6 6 0 108 2a6 6 0 000 12zM5.400 8.200l1.800 1.800 3.400-3.800",
  failed: "M8 14A6 6 0 108 2a6 6 0 000 12zM6 6l4 4M10 6l-4 4",
  moving: "M8 2a6 6 0 11-6 6",
  waiting: "M8 14A6 6 0 108 2a6 6 0 000 12z",
  skipped: "M8 14A6 6 0 108 2a6 6 0 000 12zM5.500 8h5",
  cancelled: "M8 14A6 6 0 108 2a6 6 0 000 12zM3.800 12.200l8.400-8.400",
  stop: "M4.500 4.500h7v7h-7z",
  again: "M13 8a5 5 0 11-1.500-3.500M12 2v3H9",
  trash: "M3 4.500h10M6.500 4.500V3h3v1.500M4.500 4.500l.5 8.500h6l.5-8.500",
  search: "M7 11.500a4.500 4.500 0 100-9 4.500 4.500 0 000 9zM10.300 10.300L14 14",
  down: "M8 3v9M4 8.500L8 12.500l4-4",
  copy: "M6 5.500h7v8H6zM10 5.500v-3H3v8h3",
  pen: "M3 13l1-3 7-7 2 2-7 7z",
};

export function icon(name) {
  const path = svg("path", { d: PATHS[name] });
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, path);
}

/** Make it another picture. */
export function setIcon(node, name) {
  setAttribute(node.firstChild, "d", PATHS[name]);
}
