// The rows of the infrastructure tree: each makes its cells once and then writes only what changed.

import { h, name, put, setAttribute, setText } from "../../dom.js";
import { age, badge, labelRow, meter, setMeter, setState, state } from "../../components/parts.js";
import { icon } from "../../components/icons.js";
import { tip } from "../../components/tooltip.js";
import { connectionWord, livenessWord, memory, memoryOf, plural, words } from "../../fleet/words.js";
import { longDuration } from "../../clock.js";

/** What `make` needs: the clock, and what to do when somebody opens or folds something. */
export function rowMakers({ clock, toggle, details, config, orgPath }) {
  const open = (item) => (event) => details(item.key, event.currentTarget);
  const tools = { clock, toggle, config, orgPath, open };
  return {
    orchestrator: (item) => orchestratorRow(item, tools),
    scaler: (item) => scalerRow(item, tools),
    agent: (item) => agentRow(item, tools),
  };
}

function row(item, kind, cells) {
  return h("div", { class: `row ${kind}`, role: "row", tabindex: "-1", id: `row-${item.key}`, data: { key: item.key } }, cells);
}

function cell(className, ...children) {
  return h("div", { class: `cell ${className}`, role: "gridcell" }, children);
}

/** The same in all rows: where it stands in the tree. */
function place(element, item) {
  setAttribute(element, "aria-level", item.level);
  setAttribute(element, "aria-posinset", item.position);
  setAttribute(element, "aria-setsize", item.siblings);
  setAttribute(element, "aria-expanded", item.expandable ? String(item.expanded) : null);
}

function caret(item, toggle) {
  return h(
    "button",
    { class: "caret", type: "button", tabindex: "-1", "aria-hidden": "true", onclick: () => toggle(item.key) },
    icon("caret"),
  );
}

function detailsButton(item, open) {
  return h(
    "button",
    { class: "icon-button", type: "button", tabindex: "-1", "aria-haspopup": "dialog", "aria-label": "Details", onclick: open(item) },
    icon("info"),
  );
}

function hostCell() {
  const host = name("");
  const user = name("", { class: "quiet" });
  const element = cell("host", host, " ", user);
  return {
    element,
    set({ hostname, runningAs }) {
      setText(host, hostname);
      setText(user, runningAs);
    },
  };
}

/** How many labels a row has room for, in a window of this width. */
function roomForLabels(lessBy) {
  const room = innerWidth > 1500 ? 8 : innerWidth > 1200 ? 6 : innerWidth > 720 ? 4 : 2;
  return Math.max(1, room - lessBy);
}

function orchestratorRow(item, { clock, toggle, orgPath, open }) {
  let thing = item.thing;
  const title = name("", { class: "title" });
  const connection = h("code", { class: "quiet connection" });
  const cluster = h("a", { class: "chip", tabindex: "-1" }, name(""));
  const role = badge("", "outline");
  const status = tip(state("", ""), () => thing.liveness.reason);
  const host = hostCell();
  const cpus = h("span");
  const bar = meter();
  const memoryText = h("span");
  const uptime = h("span");
  const version = name("");
  const running = h("span");
  const queued = h("span", { class: "quiet" });
  const beat = age(clock, thing.lastHeartbeatAt);
  const meta = h("span");
  const routing = h("span", { class: "labels" });
  const element = row(item, "orchestrator", [
    cell("main", caret(item, toggle), h("span", { class: "names" }, title, connection, role)),
    cell("status", status),
    host.element,
    cell("cpus", cpus),
    cell("memory", bar.element, memoryText),
    cell("uptime", uptime),
    cell("version", version),
    cell("jobs", running, " ", queued),
    cell("beat", beat.element),
    cell("tools", detailsButton(item, open)),
    cell("more", cluster, meta, routing),
  ]);
  tip(memoryText, () => `${Math.round((100 * thing.memoryUsedMb) / Math.max(1, thing.memoryTotalMb))} % of the host’s memory is in use`);
  let keys = null;
  return {
    element,
    tick: beat.write,
    update(next) {
      thing = next.thing;
      place(element, next);
      setText(title, thing.displayId);
      setText(connection, thing.shortConnectionId ?? "");
      setText(role, words(thing.role));
      setText(cluster.firstChild, next.cluster?.name ?? "");
      setAttribute(cluster, "href", next.cluster && `${orgPath}/orchestrators/${encodeURIComponent(next.cluster.name)}/overview`);
      setState(status, ...connectionWord(thing));
      setAttribute(element, "data-tone", connectionWord(thing)[1]);
      host.set(thing);
      setText(cpus, plural(thing.cpuCount, "CPU"));
      setMeter(bar, thing.memoryUsedMb, thing.memoryTotalMb, { alarm: true });
      setText(memoryText, memoryOf(thing.memoryUsedMb, thing.memoryTotalMb));
      setText(uptime, longDuration(thing.uptimeSeconds * 1000));
      setText(version, thing.version);
      setText(running, `${thing.runningJobs} running`);
      setText(queued, `${thing.queuedJobs} queued`);
      setText(meta, `${thing.mode} · ${thing.platform}/${thing.arch}`);
      const now = thing.routingKeys.join("\n");
      if (now !== keys) {
        keys = now;
        put(routing, thing.routingKeys.map((key) => tip(h("bdi", { class: "label key" }, key), `${key}\nRouting key`)));
      }
      beat.set(thing.lastHeartbeatAt);
    },
  };
}

function scalerRow(item, { toggle, config, open }) {
  let thing = item.thing;
  const title = name("", { class: "title" });
  const type = badge("", "outline");
  const bar = meter();
  const agents = h("span");
  const hosts = h("span", { class: "hosts" });
  const labels = cell("scaler-labels");
  const gear = h(
    "button",
    {
      class: "icon-button",
      type: "button",
      tabindex: "-1",
      "aria-haspopup": "dialog",
      "aria-label": "Configuration",
      onclick: (event) => config(item.key, event.currentTarget),
    },
    icon("gear"),
  );
  const element = row(item, "scaler", [
    cell("main", caret(item, toggle), h("span", { class: "names" }, title, type)),
    cell("status capacity", bar.element, agents),
    cell("host", hosts),
    labels,
    cell("tools", gear, detailsButton(item, open)),
  ]);
  tip(agents, () => `${plural(thing.activeAgents, "agent")} of at most ${thing.maxAgents}`);
  tip(hosts, () => thing.hosts.join("\n"));
  let shownLabels = null;
  return {
    element,
    tick() {},
    update(next) {
      thing = next.thing;
      place(element, next);
      setText(title, thing.name);
      setText(type, words(thing.type));
      setMeter(bar, thing.activeAgents, thing.maxAgents, { alarm: true });
      setText(agents, `${thing.activeAgents} / ${thing.maxAgents}`);
      setText(hosts, thing.hosts.length > 1 ? plural(thing.hosts.length, "host") : (thing.hosts[0] ?? ""));
      const now = `${roomForLabels(2)}${JSON.stringify(thing.labels)}`;
      if (now !== shownLabels) {
        shownLabels = now;
        put(labels, labelRow(thing.labels, thing.name, roomForLabels(2)));
      }
    },
  };
}

function agentRow(item, { clock, open }) {
  let thing = item.thing;
  const title = name("", { class: "title" });
  const platform = h("span", { class: "quiet platform" });
  const stateful = badge("stateful", "outline");
  const paused = badge("paused", "warn");
  const status = tip(state("", ""), () => `${thing.liveness.reason}`);
  const host = hostCell();
  const cpus = h("span");
  const used = tip(h("span"), () => `${memoryOf(thing.memoryUsedMb, thing.memoryTotalMb)}`);
  const uptime = h("span");
  const version = name("");
  const jobs = tip(h("span"), () => `${plural(thing.activeJobs, "active job")}, at most ${thing.maxConcurrency} at once`);
  const beat = age(clock, thing.lastHeartbeatAt);
  const labels = cell("more");
  const element = row(item, "agent", [
    cell("main", h("span", { class: "names" }, title, platform, stateful, paused)),
    cell("status", status),
    host.element,
    cell("cpus", cpus),
    cell("memory", used),
    cell("uptime", uptime),
    cell("version", version),
    cell("jobs", jobs),
    cell("beat", beat.element),
    cell("tools", detailsButton(item, open)),
    labels,
  ]);
  let shownLabels = null;
  return {
    element,
    tick: beat.write,
    update(next) {
      thing = next.thing;
      place(element, next);
      setText(title, thing.agentId);
      setText(platform, `${thing.platform}/${thing.arch}`);
      stateful.hidden = thing.scaler !== null;
      paused.hidden = !thing.paused;
      setState(status, ...livenessWord(thing.liveness.state));
      setAttribute(element, "data-tone", livenessWord(thing.liveness.state)[1]);
      host.set(thing);
      setText(cpus, plural(thing.cpuCount, "CPU"));
      setText(used, memory(thing.memoryUsedMb));
      setText(uptime, longDuration(thing.uptimeSeconds * 1000));
      setText(version, thing.version);
      setText(jobs, `${thing.activeJobs} / ${thing.maxConcurrency}`);
      beat.set(thing.lastHeartbeatAt);
      const now = `${roomForLabels(0)}${JSON.stringify(thing.labels)}`;
      if (now !== shownLabels) {
        shownLabels = now;
        put(labels, labelRow(thing.labels, thing.agentId, roomForLabels(0)));
      }
    },
  };
}
