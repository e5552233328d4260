// A new token: what it may do, for how long; and its secret, which is shown this once.

import { h, name } from "../../dom.js";
import { copyable } from "../../components/copy.js";
import { ask, tell } from "../../components/dialog.js";
import { idempotencyKey, mutate } from "../../graphql/http.js";
import { TOKEN_CREATE } from "../../settings/documents.js";

const SCOPES = [
  ["VIEWER", "Viewer", "Sees everything in this org."],
  ["OPERATOR", "Operator", "And acts: runs, cancels, acknowledges, switches."],
  ["ADMIN", "Admin", "And creates and revokes tokens."],
  ["ORCHESTRATOR", "Orchestrator", "Reports as an orchestrator, and reads nothing."],
];
const DAYS = [
  ["1", "1 day"],
  ["7", "7 days"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "1 year"],
  ["", "Never"],
];
const DEFAULT_DAYS = "90";

/** Resolves to whether one was created. */
export async function createToken(app, clusters) {
  const form = fields(clusters);
  const key = idempotencyKey();
  let created = null;
  const done = await ask({
    title: "Create a token",
    confirm: "Create",
    body: form.body,
    act: async () => void (created = await mutate(TOKEN_CREATE, { input: { ...form.input(app.clock.now()), idempotencyKey: key } })),
  });
  if (done) await showSecret(created);
  return done;
}

function fields(clusters) {
  const title = h("input", { id: "token-name", required: true, maxlength: 100, autocomplete: "off", placeholder: "Such as: laptop of Ada" });
  const radios = SCOPES.map(([value]) => h("input", { type: "radio", name: "scope", value, checked: value === "VIEWER" }));
  const cluster = h("input", { id: "token-cluster", list: "token-clusters", maxlength: 63, autocomplete: "off", spellcheck: "false", placeholder: "any" });
  const binding = h("div", { class: "field", hidden: true }, h("label", { for: "token-cluster" }, "Only for the cluster (optional)"), cluster, h("datalist", { id: "token-clusters" }, clusters.map((value) => h("option", { value }))));
  const days = h("select", { id: "token-days" }, DAYS.map(([value, text]) => h("option", { value, selected: value === DEFAULT_DAYS }, text)));
  const scope = () => radios.find((radio) => radio.checked).value;
  const changed = () => {
    binding.hidden = scope() !== "ORCHESTRATOR";
    // A person's token had better end some day; a machine's had better not end at night.
    days.value = scope() === "ORCHESTRATOR" ? "" : DEFAULT_DAYS;
  };
  for (const radio of radios) radio.addEventListener("change", changed);
  return {
    body: [
      h("label", { for: "token-name" }, "Name"),
      title,
      h("fieldset", { class: "choices" }, h("legend", null, "Scope"), SCOPES.map(([, text, what], index) => h("label", { class: "choice" }, radios[index], h("span", null, text, h("small", { class: "quiet" }, what))))),
      binding,
      h("label", { for: "token-days" }, "Expires in"),
      days,
    ],
    input: (now) => ({
      name: title.value.trim(),
      scope: scope(),
      clusterName: scope() === "ORCHESTRATOR" ? cluster.value.trim() || null : null,
      expiresAt: days.value ? new Date(now + Number(days.value) * 86_400_000).toISOString() : null,
    }),
  };
}

function showSecret({ secret, token }) {
  const address = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`;
  return tell({
    title: "Token created",
    confirm: "I have it",
    body: [
      h("p", null, "The secret of ", name(token.name, { class: "strong" }), ". It is shown this once: copy it now."),
      copyable(secret, "Copy the secret"),
      token.scope === "ORCHESTRATOR" && [
        h("p", null, "A stock KiCI orchestrator connects with these two in its environment:"),
        copyable(`export KICI_PLATFORM_URL=${address}\nexport KICI_PLATFORM_TOKEN=${secret}`, "Copy the environment"),
      ],
    ],
  });
}
