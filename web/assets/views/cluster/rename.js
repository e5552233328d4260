// Giving a cluster another name: recorded now, in force when its orchestrators next connect.

import { h, name } from "../../dom.js";
import { copyable } from "../../components/copy.js";
import { ask, tell } from "../../components/dialog.js";
import { idempotencyKey, mutate } from "../../graphql/http.js";
import { RENAME } from "./documents.js";

export async function rename(cluster) {
  const field = h("input", { id: "new-name", value: cluster.pendingName ?? cluster.name, required: true, pattern: "[a-z0-9]([a-z0-9\\-]{0,61}[a-z0-9])?", maxlength: 63, spellcheck: "false", autocapitalize: "off" });
  let instructions = [];
  const done = await ask({
    title: "Rename this cluster",
    confirm: "Rename",
    body: [
      h("label", { for: "new-name" }, "New name"),
      field,
      h("small", { class: "quiet" }, "1 to 63 lower-case letters, digits and hyphens. It is in force when the cluster’s orchestrators next connect; history and ids stay."),
    ],
    act: async () => {
      ({ instructions } = await mutate(RENAME, { input: { clusterId: cluster.id, name: field.value.trim(), idempotencyKey: idempotencyKey() } }));
    },
  });
  if (!done || instructions.length === 0) return;
  tell({
    title: "One more step",
    confirm: "Done",
    body: [h("p", null, "These orchestrators take their name from their own host. Run there, then restart them:"), instructions.map(({ hostname, line }) => [h("p", null, "On ", name(hostname)), copyable(line)])],
  });
}
