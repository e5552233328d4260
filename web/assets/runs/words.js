// How runs, jobs and steps are going, in words and tones.

import { setState, state } from "../components/parts.js";
import { words } from "../fleet/words.js";
import { longDuration } from "../clock.js";

const TONES = {
  SUCCESS: "good",
  FAILED: "bad",
  TIMED_OUT_STALE: "bad",
  RUNNING: "info",
  RECOVERING: "warn",
  CANCELLING: "warn",
  HELD: "warn",
  PENDING: "off",
  QUEUED: "off",
  CANCELLED: "off",
  SKIPPED: "off",
  DRIFT_DROPPED: "off",
};
const FINAL = new Set(["SUCCESS", "FAILED", "CANCELLED", "SKIPPED", "TIMED_OUT_STALE", "DRIFT_DROPPED"]);
const NAMES = { TIMED_OUT_STALE: "Timed out", DRIFT_DROPPED: "Dropped" };

export const RUN_STATUSES = ["PENDING", "HELD", "RUNNING", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED"];

export function statusWord(status) {
  return NAMES[status] ?? words(status);
}

/** A status that is still moving has a pulse. */
export function statusMark(status) {
  const mark = state("", "");
  setStatus(mark, status);
  return mark;
}

export function setStatus(mark, status) {
  const moving = status === "RUNNING" || status === "CANCELLING" || status === "RECOVERING";
  setState(mark, statusWord(status), `${TONES[status] ?? "off"}${moving ? " moving" : ""}`);
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

