// Taking an alert on: a note for the colleagues, and for how long.

import { h, name } from "../../dom.js";
import { ask } from "../../components/dialog.js";
import { mutate } from "../../graphql/http.js";

const ACKNOWLEDGE = `
mutation Acknowledge($input: AlertAcknowledgeInput!) {
  alertAcknowledge(input: $input) {
    __typename
    ... on AlertAcknowledgeSuccess { cursor }
    ... on Error { code message hint path retryable }
  }
}`;

const UNTIL = [
  ["", "only when it comes back"],
  ["1", "in 1 hour"],
  ["4", "in 4 hours"],
  ["24", "in 1 day"],
  ["168", "in 7 days"],
];

export function acknowledge(alert, clock) {
  const note = h("textarea", { id: "ack-note", rows: 3, maxlength: 2000, placeholder: "Such as: disk is being replaced" });
  const until = h("select", { id: "ack-until" }, UNTIL.map(([hours, text]) => h("option", { value: hours }, text)));
  return ask({
    title: "Acknowledge this alert",
    confirm: "Acknowledge",
    body: [
      h("p", null, name(alert.message)),
      h("label", { for: "ack-note" }, "Note for your colleagues (optional)"),
      note,
      h("label", { for: "ack-until" }, "It is open again"),
      until,
    ],
    act: () =>
      mutate(ACKNOWLEDGE, {
        input: {
          alertId: alert.id,
          expectedVersion: alert.version,
          note: note.value.trim() || null,
          until: until.value ? new Date(clock.now() + Number(until.value) * 3_600_000).toISOString() : null,
        },
      }),
  });
}
