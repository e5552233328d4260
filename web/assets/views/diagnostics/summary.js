// The figures above the tree: how much of the fleet is there, and how much of it is busy.

import { h, setAttribute, setText } from "../../dom.js";
import { meter, setMeter } from "../../components/parts.js";
import { plural } from "../../fleet/words.js";

export class Summary {
  #cards = {
    orchestrators: card("Orchestrators"),
    agents: card("Agents"),
    capacity: card("Capacity"),
    slots: card("Job slots"),
  };
  element = h("div", { class: "cards" }, Object.values(this.#cards).map(({ element }) => element));

  draw(fleet) {
    const { orchestrators, agents, capacity, slots } = this.#cards;
    const every = [...fleet.orchestrators.values()];
    const there = every.filter((each) => each.connected);
    orchestrators.set(there.length, every.length, `of ${every.length} connected`, there.length < every.length ? "warn" : "");

    const counts = countStates(fleet.agents);
    agents.set(counts.ONLINE, fleet.agents.size, others(counts, fleet.agents.size), counts.LOST ? "bad" : counts.LATE ? "warn" : "");

    const scalers = [...fleet.scalers.values()];
    const most = sum(scalers, "maxAgents");
    capacity.set(sum(scalers, "activeAgents"), most, `of ${most} agents in ${plural(scalers.length, "scaler")}`);

    // What agents that are gone last said of their jobs is no news of today.
    const online = [...fleet.agents.values()].filter(({ liveness }) => liveness.state === "ONLINE");
    const room = sum(online, "maxConcurrency");
    slots.set(sum(online, "activeJobs"), room, `of ${room} busy, ${plural(sum(there, "queuedJobs"), "job")} queued`);
  }
}

function sum(things, field) {
  return things.reduce((total, thing) => total + thing[field], 0);
}

function countStates(agents) {
  const counts = { ONLINE: 0, LATE: 0, LOST: 0, OFFLINE: 0, NEVER_SEEN: 0 };
  for (const { liveness } of agents.values()) counts[liveness.state] = (counts[liveness.state] ?? 0) + 1;
  return counts;
}

function others(counts, total) {
  const troubled = [
    [counts.LOST, "lost"],
    [counts.LATE, "late"],
    [counts.OFFLINE, "offline"],
    [counts.NEVER_SEEN, "not heard yet"],
  ].filter(([count]) => count > 0);
  return [`of ${total} online`, ...troubled.map(([count, word]) => `${count} ${word}`)].join(" · ");
}

function card(title) {
  const figure = h("span", { class: "figure" }, "–");
  const note = h("span", { class: "note" });
  const bar = meter();
  return {
    element: h("section", { class: "card", "aria-label": title }, h("h2", null, title), h("p", null, figure, " ", note), bar.element),
    set(part, whole, text, tone = "") {
      setText(figure, part);
      setText(note, text);
      setAttribute(note, "class", `note ${tone}`.trim());
      setMeter(bar, part, whole);
    },
  };
}
