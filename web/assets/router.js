// Which page an address shows. Pages are loaded when they are first wanted.

import { style } from "./dom.js";

/** A page and the styles that it needs. */
export const styled = async (page, ...names) => (await Promise.all([page, ...names.map((each) => style(`/assets/style/${each}.css`))]))[0];

const PAGES = [
  [/^\/orgs\/([^/]+)\/workflows\/?$/, ["org"], "workflows", () => styled(import("./views/workflows/page.js"), "lists", "runs")],
  [/^\/orgs\/([^/]+)\/runs\/?$/, ["org"], "runs", () => styled(import("./views/runs/list.js"), "lists", "runs")],
  [/^\/runs\/([^/]+)\/?$/, ["run"], "runs", () => styled(import("./views/runs/run.js"), "lists", "runs")],
  [/^\/orgs\/([^/]+)\/diagnostics\/?$/, ["org"], "diagnostics", () => styled(import("./views/diagnostics/page.js"), "diagnostics")],
  [/^\/orgs\/([^/]+)\/orchestrators\/?$/, ["org"], "orchestrators", () => styled(import("./views/orchestrators.js"), "lists")],
  [/^\/orgs\/([^/]+)\/orchestrators\/([^/]+)(?:\/([^/]+))?\/?$/, ["org", "cluster", "tab"], "orchestrators", () => styled(import("./views/cluster/page.js"), "lists")],
  [/^\/orgs\/([^/]+)\/settings(?:\/([^/]+))?\/?$/, ["org", "tab"], "settings", () => styled(import("./views/settings/page.js"), "lists")],
];

/** `{section, params, load}` for a path, or null when there is no such page. */
export function route(path) {
  for (const [pattern, names, section, load] of PAGES) {
    const match = pattern.exec(path);
    if (match) {
      const params = Object.fromEntries(names.map((name, index) => [name, match[index + 1] && decode(match[index + 1])]));
      return { section, params, load };
    }
  }
  return null;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The sections of the page, in the order of the menu: key for `g` + key, and the picture. */
export const SECTIONS = [
  { section: "workflows", title: "Workflows", key: "w" },
  { section: "runs", title: "Runs", key: "r" },
  { section: "diagnostics", title: "Diagnostics", key: "d" },
  { section: "orchestrators", title: "Orchestrators", key: "o" },
];
