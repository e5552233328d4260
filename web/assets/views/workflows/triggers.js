// A trigger and its configuration. Every kind is shown the same way, so one that we don't know is shown, too.

import { h, name } from "../../dom.js";
import { facts } from "../../components/parts.js";
import { dateTime, duration } from "../../clock.js";

const SHOWN_BEFORE = new Set(["_type", "type", "description", "cronExpression", "cron", "timezone"]);

export function triggerCard({ type, config, cron, timezone, description, nextFireAt }, clock) {
  const entries = Object.entries(config ?? {}).filter(([key]) => cron === undefined || !SHOWN_BEFORE.has(key));
  const schedule =
    cron === undefined
      ? []
      : [
          ["Cron", h("code", null, cron ?? "none")],
          ["Time zone", name(timezone)],
          ["Next", nextFireAt ? `in ${duration(Math.max(0, Date.parse(nextFireAt) - clock.now()))}, at ${dateTime(nextFireAt)}` : "the expression is malformed"],
        ];
  const shown = [...schedule, ...entries.filter(([key]) => key !== "_type" && key !== "description").map(([key, value]) => [key, valueNode(value)])];
  return h(
    "section",
    { class: "card trigger" },
    h("h3", null, name(type)),
    (description ?? config?.description) && h("p", { class: "quiet" }, name(description ?? config.description)),
    shown.length ? facts(shown) : h("p", { class: "quiet" }, "No conditions: every event counts."),
  );
}

function valueNode(value) {
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) {
    return value.length ? h("span", { class: "labels wrap" }, value.map((each) => h("bdi", { class: "label key" }, each))) : "any";
  }
  return typeof value === "string" ? name(value) : h("code", null, JSON.stringify(value));
}

