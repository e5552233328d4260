// Everything that is known of one row, in a panel that stays as live as the tree; and the configuration of a scaler.

import { h, name, put, setText } from "../../dom.js";
import { dateTime, duration, longDuration } from "../../clock.js";
import { facts, label } from "../../components/parts.js";
import { openPopover } from "../../components/popover.js";
import { connectionWord, livenessWord, memoryOf, words } from "../../fleet/words.js";

const REFRESH_MS = 1000;

/** Open the panel of the thing with this id beside `anchor`. */
export function openDetails(fleet, clock, id, anchor) {
  const found = fleet.find(id);
  if (!found) return;
  const { titleOf, entriesOf } = KINDS[found.kind];
  const list = h("dl", { class: "facts" });
  const gone = h("p", { class: "quiet", hidden: true }, "It is gone. This is what was last known of it.");
  const shown = new Map();
  const write = () => {
    const thing = fleet.find(id)?.thing;
    gone.hidden = Boolean(thing);
    if (!thing) return;
    for (const [term, value] of entriesOf(thing, clock)) writeEntry(list, shown, term, value);
  };
  write();
  const timer = setInterval(write, REFRESH_MS);
  const stop = fleet.onChange(({ ids }) => ids.has(id) && write());
  openPopover(anchor, {
    label: `Details of ${titleOf(found.thing)}`,
    content: [h("h3", null, name(titleOf(found.thing))), gone, list],
    className: "details",
    onclose() {
      clearInterval(timer);
      stop();
    },
  });
}

function writeEntry(list, shown, term, value) {
  if (!shown.has(term)) {
    const cell = h("dd");
    list.append(h("dt", null, term), cell);
    shown.set(term, { cell, key: null });
  }
  const entry = shown.get(term);
  if (!Array.isArray(value)) return setText(entry.cell, value ?? "–");
  const key = JSON.stringify(value);
  if (key !== entry.key) {
    entry.key = key;
    put(entry.cell, value.length ? h("span", { class: "labels wrap" }, value.map(label)) : "none");
  }
  return undefined;
}

/** The configuration of a scaler, as its orchestrator summed it up: without secrets. */
export function openConfiguration(fleet, id, anchor) {
  const scaler = fleet.scalers.get(id);
  if (!scaler) return;
  const entries = [...scaler.configSummary].sort((a, b) => a.key.localeCompare(b.key));
  openPopover(anchor, {
    label: `Configuration of ${scaler.name}`,
    content: [
      h("h3", null, "Configuration of ", name(scaler.name)),
      entries.length
        ? facts(entries.map(({ key, value }) => [name(key), name(value)]))
        : h("p", { class: "quiet" }, "The orchestrator reports no configuration."),
    ],
  });
}

function since(clock, at) {
  return at ? `${duration(clock.since(at))} ago, at ${dateTime(at)}` : "never";
}

function liveness({ state, reason, since: from, missedBeats }, clock) {
  const missed = missedBeats ? `, ${missedBeats} missed` : "";
  return `${livenessWord(state)[0]}: ${reason}${missed}, since ${dateTime(from)} (${duration(clock.since(from))})`;
}

function host(thing) {
  return [
    ["Host", thing.hostname],
    ["Runs as", thing.runningAs],
    ["Platform", `${thing.platform}/${thing.arch}`],
    ["CPUs", thing.cpuCount],
    ["Memory", memoryOf(thing.memoryUsedMb, thing.memoryTotalMb)],
    ["Uptime", longDuration(thing.uptimeSeconds * 1000)],
    ["Version", thing.version],
  ];
}

const keyLabel = (text) => ({ name: text, kind: "USER" });

const KINDS = {
  orchestrators: {
    titleOf: (thing) => thing.displayId,
    entriesOf: (thing, clock) => [
      ["Connection", connectionWord(thing)[0]],
      ["Liveness", liveness(thing.liveness, clock)],
      ["Last heartbeat", since(clock, thing.lastHeartbeatAt)],
      ["Role", words(thing.role)],
      ["Mode", thing.mode],
      ["Jobs", `${thing.runningJobs} running, ${thing.queuedJobs} queued`],
      ...host(thing),
      ["Instance id", thing.instanceId],
      ["Connection id", thing.connectionId],
      ["Connected", since(clock, thing.connectedAt)],
      ["Disconnected", thing.disconnectedAt ? since(clock, thing.disconnectedAt) : "–"],
      ["Clock", thing.clockSkewMs === null ? "not told" : `${thing.clockSkewMs} ms off the server’s`],
      ["Routing keys", thing.routingKeys.map(keyLabel)],
      ["Capabilities", thing.capabilities.map(keyLabel)],
    ],
  },
  scalers: {
    titleOf: (thing) => thing.name,
    entriesOf: (thing) => [
      ["Type", words(thing.type)],
      ["Agents", `${thing.activeAgents} active, at most ${thing.maxAgents}`],
      ["Hosts", thing.hosts.join(", ") || "none"],
      ["Labels", thing.labels],
      ...thing.configSummary.map(({ key, value }) => [`Setting ${key}`, value]),
    ],
  },
  agents: {
    titleOf: (thing) => thing.agentId,
    entriesOf: (thing, clock) => [
      ["Liveness", liveness(thing.liveness, clock)],
      ["Last heartbeat", since(clock, thing.lastHeartbeatAt)],
      ["Jobs", `${thing.activeJobs} active, at most ${thing.maxConcurrency} at once`],
      ["Takes new jobs", thing.paused ? "no, it is paused" : "yes"],
      ...host(thing),
      ["First seen", since(clock, thing.firstSeenAt)],
      ["Labels", thing.labels],
    ],
  },
};
