// How the fleet's figures and states are written.

const LIVENESS = {
  ONLINE: ["Online", "good"],
  LATE: ["Late", "warn"],
  LOST: ["Lost", "bad"],
  OFFLINE: ["Offline", "off"],
  NEVER_SEEN: ["Not heard yet", "info"],
};

/** Word and tone of a liveness state; a state we don't know is shown as it is. */
export function livenessWord(state) {
  return LIVENESS[state] ?? [state, "off"];
}

/** Word and tone of an orchestrator: whether it is connected, and how sure that is. */
export function connectionWord({ connected, liveness: { state } }) {
  if (connected) return state === "ONLINE" ? ["Connected", "good"] : [livenessWord(state)[0], "warn"];
  return state === "OFFLINE" ? ["Disconnected", "off"] : ["Disconnected", "bad"];
}

/** `CONTAINER` → `Container`, `BARE_METAL` → `Bare metal`. */
export function words(constant) {
  const text = constant.toLowerCase().replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `512 MB`, `23.5 GB`. */
export function memory(mb) {
  if (mb < 1024) return `${mb} MB`;
  const gb = mb / 1024;
  return `${gb < 100 ? gb.toFixed(1) : Math.round(gb)} GB`;
}

/** `1.3 / 23.5 GB`: one unit when both have the same. */
export function memoryOf(used, total) {
  const [a, b] = [memory(used), memory(total)];
  return a.slice(-2) === b.slice(-2) ? `${a.slice(0, -3)} / ${b}` : `${a} / ${b}`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** Order of names as people expect it: `agent-9` before `agent-10`. */
export const byName = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
