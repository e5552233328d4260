// How runs, jobs and steps are going, in words and tones.

import { h } from "../dom.js";
import { icon, setIcon } from "../components/icons.js";
import { setState } from "../components/parts.js";
import { words } from "../fleet/words.js";
import { longDuration } from "../clock.js";

/** Tone and picture: nobody has to tell red from green. */
const LOOKS = {
  SUCCESS: ["good", "success"],
  FAILED: ["bad", "failed"],
  TIMED_OUT_STALE: ["bad", "clock"],
  RUNNING: ["info", "moving"],
  RECOVERING: ["warn", "moving"],
  CANCELLING: ["warn", "moving"],
  HELD: ["warn", "clock"],
  PENDING: ["off", "waiting"],
  QUEUED: ["off", "waiting"],
  CANCELLED: ["off", "cancelled"],
  SKIPPED: ["off", "skipped"],
  DRIFT_DROPPED: ["off", "skipped"],
};
const FINAL = new Set(["SUCCESS", "FAILED", "CANCELLED", "SKIPPED", "TIMED_OUT_STALE", "DRIFT_DROPPED"]);
const NAMES = { TIMED_OUT_STALE: "Timed out", DRIFT_DROPPED: "Dropped" };

export const RUN_STATUSES = ["PENDING", "HELD", "RUNNING", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED"];

export function statusWord(status) {
  return NAMES[status] ?? words(status);
}

export function statusMark(status) {
  const mark = h("span", { class: "state" }, icon("waiting"), h("span"));
  setStatus(mark, status);
  return mark;
}

/** A status that is still moving turns. */
export function setStatus(mark, status) {
  const [tone, picture] = LOOKS[status] ?? ["off", "waiting"];
  setIcon(mark.firstChild, picture);
  setState(mark, statusWord(status), picture === "moving" ? `${tone} moving` : tone);
}

export function isOver(status) {
  return FINAL.has(status);
}

/** How long something took, or has been taking by the server's clock; null before it started. */
export function tookMs({ startedAt, completedAt, durationMs, status }, clock) {
  if (durationMs !== null && durationMs !== undefined) return durationMs;
  if (!startedAt) return null;
  if (completedAt) return Date.parse(completedAt) - Date.parse(startedAt);
  return isOver(status) ? null : clock.since(startedAt);
}

export function tookText(thing, clock) {
  const ms = tookMs(thing, clock);
  return ms === null ? "–" : longDuration(ms);
}

