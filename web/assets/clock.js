// The server's time, as far as we know it. Every age on the page comes from here: from `at` of the frames, never from
// this machine's own date. When the stream is gone the clock stands still, and so do the ages.

import { preference, onPreference } from "./preferences.js";

/** How long a live clock may run on without a frame: a stream brings one at least every 15 s. */
const MOST_EXTRAPOLATED_MS = 20_000;

export class Clock {
  #server = null;
  #heard = 0;
  #stopped = null;

  /** A frame said what time it is. */
  heard(at) {
    const server = Date.parse(at);
    // Frames of several streams cross each other by some ms; further back means that the server's clock was set.
    if (this.#server !== null && server < this.now() && this.now() - server < MOST_EXTRAPOLATED_MS) return;
    this.#server = server;
    this.#heard = performance.now();
    if (this.#stopped !== null) this.#stopped = this.#heard;
  }

  /** The stream is gone: from now on time stands still. */
  stop() {
    this.#stopped ??= performance.now();
  }

  /** The stream is back. */
  start() {
    this.#stopped = null;
  }

  get known() {
    return this.#server !== null;
  }

  /** Milliseconds since 1970 by the server's clock. */
  now() {
    if (this.#server === null) return Date.now();
    const elapsed = (this.#stopped ?? performance.now()) - this.#heard;
    return this.#server + Math.min(Math.max(0, elapsed), MOST_EXTRAPOLATED_MS);
  }

  /** Milliseconds from a time of the server's until now; null for null. */
  since(at) {
    return at === null || at === undefined ? null : Math.max(0, this.now() - Date.parse(at));
  }
}

const UNITS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** A length of time in one unit, as one reads it at a glance: `12 s`, `3 min`. */
export function duration(ms) {
  const seconds = ms / 1000;
  for (const [size, unit] of UNITS) if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.floor(seconds)} s`;
}

/** The same with its second unit, where there is room: `1 d 4 h`, `3 min 12 s`. */
export function longDuration(ms) {
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return ms > 0 && ms < 1000 ? `${Math.round(ms)} ms` : "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

let utc = preference("zone", "local") === "utc";
onPreference((key, value) => {
  if (key === "zone") utc = value === "utc";
});

const formats = new Map();

function format(options) {
  const key = `${utc}${JSON.stringify(options)}`;
  if (!formats.has(key)) {
    // Swedish writes dates as ISO 8601 does, which everybody can read and sort.
    formats.set(key, new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: utc ? "UTC" : undefined }));
  }
  return formats.get(key);
}

/** `2026-01-31 12:00:00` in the chosen zone, with `UTC` behind it where that was chosen. */
export function dateTime(at) {
  const text = format({ dateStyle: "short", timeStyle: "medium" }).format(new Date(at));
  return utc ? `${text} UTC` : text;
}

/** `12:00:00` in the chosen zone. */
export function timeOfDay(at) {
  return format({ timeStyle: "medium" }).format(new Date(at));
}

/** `12:00` in the chosen zone. */
export function hourOfDay(at) {
  return format({ timeStyle: "short" }).format(new Date(at));
}
