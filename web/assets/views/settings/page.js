// Settings of the org, for its admins: tokens, and the audit log.

import { h } from "../../dom.js";
import { emptyState, pageHead } from "../../components/parts.js";
import { Audit } from "./audit.js";
import { Tokens } from "./tokens.js";

const TABS = { tokens: ["Tokens", Tokens], audit: ["Audit log", Audit] };

export function open(app, { params, address }) {
  const key = params.tab in TABS ? params.tab : "tokens";
  const [title, View] = TABS[key];
  const permission = app.can("tokenCreate");
  const view = permission.allowed ? new View(app, address) : null;
  const stop = view?.open();
  const path = `${app.orgPath}/settings`;
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": "Settings" },
    Object.entries(TABS).map(([tab, [text]]) => h("a", { href: `${path}/${tab}`, "aria-current": tab === key && "page" }, text)),
  );
  const refused = () => emptyState("Only admins see this", "Tokens and the audit log tell who may do what, and who did. Sign in with a token of scope Admin.");
  return {
    title,
    element: h("div", { class: "page" }, pageHead("Settings", h("span", { class: "grow" }), view?.button), tabs, view?.element ?? refused()),
    refresh: () => view?.refresh(),
    close: () => stop?.(),
  };
}
