// What surrounds every page: the head with menu, connection, time zone, theme, org and account; the keys that work
// everywhere.

import { h, name, put, setAttribute } from "../dom.js";
import { applyTheme, onPreference, prefer, preference } from "../preferences.js";
import { SECTIONS } from "../router.js";
import { icon } from "./icons.js";
import { tell } from "./dialog.js";
import { openMenu } from "./popover.js";
import { facts } from "./parts.js";
import { tip } from "./tooltip.js";
import { words } from "../fleet/words.js";

const THEMES = [
  ["system", "System", "system"],
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
];

/** The buttons that work without a session, too. */
export function lookControls() {
  return [zoneButton(), themeButton()];
}

function zoneButton() {
  const text = h("span", { class: "wide-only" });
  const hidden = h("span", { class: "hidden-text" });
  const button = h("button", { class: "bar-button", type: "button" }, icon("clock"), hidden, text);
  const write = () => {
    const utc = preference("zone", "local") === "utc";
    put(text, utc ? "UTC" : "Local");
    put(hidden, `Times are ${utc ? "UTC" : "local"}: `);
  };
  button.addEventListener("click", () => prefer("zone", preference("zone", "local") === "utc" ? "local" : "utc"));
  onPreference((key) => key === "zone" && write());
  write();
  return tip(button, "Show times as local time or UTC");
}

function themeButton() {
  const button = h("button", { class: "bar-button", type: "button", "aria-haspopup": "menu" });
  const write = () => {
    const theme = preference("theme", "system");
    applyTheme(theme);
    const [, title, picture] = THEMES.find(([value]) => value === theme) ?? THEMES[0];
    put(button, icon(picture));
    button.setAttribute("aria-label", `Theme: ${title}`);
  };
  button.addEventListener("click", () =>
    openMenu(
      button,
      "Theme",
      THEMES.map(([value, title]) => ({
        label: title,
        checked: preference("theme", "system") === value,
        run: () => prefer("theme", value === "system" ? null : value),
      })),
    ),
  );
  onPreference((key) => key === "theme" && write());
  write();
  return button;
}

/** Fill the head of the page for a session. */
export function showShell(app, indicator) {
  const { session, orgPath } = app;
  const links = SECTIONS.map(({ section, title, key }) =>
    h("a", { class: "nav-link", href: `${orgPath}/${section}`, data: { section }, "aria-keyshortcuts": `g ${key}` }, icon(section), h("span", null, title)),
  );
  put(document.querySelector("#nav"), links);
  put(document.querySelector("#controls"), indicator.element, ...lookControls(), orgButton(session, app), accountButton(session, app));
  document.querySelector("#banner").replaceChildren(indicator.banner);
  return {
    current(section) {
      for (const link of links) setAttribute(link, "aria-current", link.dataset.section === section && "page");
    },
  };
}

function orgButton({ org }, app) {
  const button = h("button", { class: "bar-button org", type: "button", "aria-haspopup": "menu" }, name(org.name), icon("caret"));
  button.setAttribute("aria-label", `Org: ${org.name}`);
  button.addEventListener("click", async () => (await import("../views/orgs.js")).openOrgMenu(app, button));
  return button;
}

function accountButton({ viewer, server }, app) {
  const button = h("button", { class: "bar-button", type: "button", "aria-haspopup": "menu", "aria-label": "Account" }, icon("user"));
  button.addEventListener("click", () =>
    openMenu(button, "Account", [
      { label: name(viewer.tokenName), note: `Token of scope ${words(viewer.scope)} · kici_gql ${server.version}`, run: () => {} },
      app.can("tokenCreate").allowed && { label: "Settings", note: "Tokens and audit log", href: `${app.orgPath}/settings/tokens` },
      { label: "GraphQL playground", href: "/playground" },
      { label: "Keyboard", note: "All keys", run: showKeys },
      { label: "Sign out", run: () => app.leave() },
    ].filter(Boolean)),
  );
  return button;
}

const KEYS = [
  ...SECTIONS.map(({ title, key }) => [`g ${key}`, `Go to ${title}`]),
  ["/", "Search on this page"],
  ["↑ ↓", "Move in the tree"],
  ["← →", "Fold and unfold, go to the parent"],
  ["Enter", "Details of the row"],
  ["Esc", "Close what is open"],
  ["?", "This list"],
];

function showKeys() {
  tell({ title: "Keyboard", body: [facts(KEYS.map(([keys, what]) => [keys.split(" ").map((key) => h("kbd", null, key)), what]))] });
}

const SEQUENCE_MS = 1200;

/** Keys that work on every page, unless somebody is typing. */
export function listenToKeys(app) {
  let began = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    const inSequence = performance.now() - began < SEQUENCE_MS;
    began = 0;
    const section = inSequence && SECTIONS.find(({ key }) => key === event.key);
    if (section) app.go(`${app.orgPath}/${section.section}`);
    else if (event.key === "g") began = performance.now();
    else if (event.key === "?") showKeys();
    else if (event.key === "/") {
      const field = document.querySelector("[data-shortcut='/']");
      if (!field) return;
      event.preventDefault();
      field.focus();
    }
  });
}
