// The two streams of the fleet, opened by whichever page needs them and kept for a while after the last one left, so
// that going back and forth costs nothing.

import { Stream } from "../graphql/stream.js";
import { HEARTBEATS, INFRASTRUCTURE } from "./documents.js";

const LINGER_MS = 30_000;

const shared = { users: 0, streams: null, closes: [], timer: null };

/** Keep `app.fleet` up to date until the returned function is called. `failed(errors)`: it can't be. */
export function openFleet(app, failed) {
  clearTimeout(shared.timer);
  shared.users += 1;
  shared.streams ??= streamsOf(app);
  for (const stream of shared.streams) {
    stream.failed = failed;
    if (stream.problem) failed(stream.problem);
  }
  // Streams that were closed for a while go on behind the last frame that they saw.
  if (shared.closes.length === 0) shared.closes = shared.streams.map((stream) => app.link.open(stream));
  return () => {
    shared.users -= 1;
    if (shared.users === 0) shared.timer = setTimeout(stop, LINGER_MS);
  };
}

function streamsOf({ fleet, session }) {
  const variables = { org: session.org.slug };
  return [
    new Stream({ document: INFRASTRUCTURE, variables, take: (frame) => fleet.takeInfrastructure(frame) }),
    new Stream({ document: HEARTBEATS, variables, take: (frame) => fleet.takeHeartbeats(frame) }),
  ];
}

function stop() {
  for (const close of shared.closes) close();
  shared.closes = [];
}
