// The fleet as this page knows it, folded from the frames of two streams: what is there, and how it beats.

const BEAT = [
  "lastHeartbeatAt",
  "memoryUsedMb",
  "memoryTotalMb",
  "uptimeSeconds",
  "activeJobs",
  "maxConcurrency",
  "paused",
  "runningJobs",
  "queuedJobs",
];
const SHELVES = { Cluster: "clusters", Orchestrator: "orchestrators", Scaler: "scalers", Agent: "agents", Alert: "alerts" };
const SEVERITIES = ["CRITICAL", "WARNING", "INFO"];
/** Fields by which things are placed and ordered in the tree: a change of one of them moves rows. */
const PLACE = ["name", "displayId", "agentId"];

export class Fleet {
  clusters = new Map();
  orchestrators = new Map();
  scalers = new Map();
  agents = new Map();
  alerts = new Map();
  /** Whether the first snapshot is in. */
  known = false;

  #listeners = new Set();

  /** `listener({ids, moved})` after each frame: whose figures are new, and whether rows came, went or moved. */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  takeInfrastructure(frame) {
    const change = { ids: new Set(), moved: false };
    if (frame.snapshot) {
      for (const [shelf, things] of Object.entries(frame.snapshot)) this.#replace(shelf, things, change);
      this.known = true;
      change.moved = true;
    }
    for (const event of frame.events) this.#apply(event, change);
    this.#tell(change);
  }

  takeHeartbeats(frame) {
    const change = { ids: new Set(), moved: false };
    const beats = frame.snapshot ? [...frame.snapshot.orchestrators, ...frame.snapshot.agents] : frame.events;
    for (const beat of beats) this.#beat(beat, change);
    if (change.ids.size) this.#tell(change);
  }

  /** Open and acknowledged alerts: the worst first, the newest of equals first. */
  openAlerts() {
    return [...this.alerts.values()].sort(
      (a, b) =>
        SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
        Date.parse(b.openedAt) - Date.parse(a.openedAt) ||
        a.id.localeCompare(b.id),
    );
  }

  /** The thing with this id, and the shelf it is on. */
  find(id) {
    for (const kind of ["agents", "scalers", "orchestrators", "clusters"]) {
      const thing = this[kind].get(id);
      if (thing) return { kind, thing };
    }
    return null;
  }

  #replace(shelf, things, change) {
    const before = this[shelf];
    this[shelf] = new Map(things.map((thing) => [thing.id, newerBeat(before.get(thing.id), thing)]));
    for (const { id } of things) change.ids.add(id);
    for (const id of before.keys()) change.ids.add(id);
  }

  #apply(event, change) {
    const [, type, what] = /^(.*)(Changed|Removed)$/.exec(event.__typename) ?? [];
    const shelf = this[SHELVES[type]];
    if (!shelf) return;
    const thing = what === "Changed" ? event[type.toLowerCase()] : null;
    const id = thing?.id ?? event.id;
    const before = shelf.get(id);
    change.ids.add(id);
    if (!thing || thing.state === "RESOLVED") {
      change.moved = shelf.delete(id) || change.moved;
    } else {
      shelf.set(id, newerBeat(before, thing));
      change.moved ||= moves(before, thing);
    }
  }

  #beat(beat, change) {
    const { beatAt = beat.lastHeartbeatAt, id = beat.orchestratorId } = beat;
    const thing = this.agents.get(id) ?? this.orchestrators.get(id);
    // Who is not in the tree yet comes with the next infrastructure frame, figures and all.
    if (!thing || !beatAt || (thing.lastHeartbeatAt && Date.parse(beatAt) < Date.parse(thing.lastHeartbeatAt))) return;
    for (const field of BEAT) if (field in beat) thing[field] = beat[field];
    thing.lastHeartbeatAt = beatAt;
    change.ids.add(id);
  }

  #tell(change) {
    for (const listener of this.#listeners) listener(change);
  }
}

function moves(before, thing) {
  return (
    !before ||
    PLACE.some((field) => before[field] !== thing[field]) ||
    before.scaler?.id !== thing.scaler?.id ||
    before.orchestrator?.id !== thing.orchestrator?.id ||
    before.cluster?.id !== thing.cluster?.id
  );
}

/** The thing, but with the heartbeat known before when that is the newer one: the two streams are not in step. */
function newerBeat(before, thing) {
  if (!before?.lastHeartbeatAt || Date.parse(thing.lastHeartbeatAt ?? 0) >= Date.parse(before.lastHeartbeatAt)) return thing;
  for (const field of BEAT) if (field in before) thing[field] = before[field];
  return thing;
}
