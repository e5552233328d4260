"""What a server can deliver at most: a push in flight on every connection, as long as the readers keep up."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.fleet import AGENTS
from tests.bench.harness import Peer
from tests.bench.load import Control, Loop, Pusher, Reader

WARM_UP_SECONDS, SLICE_SECONDS, SLICES = 2.0, 1.0, 6
_MOST_UNREAD_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Capacity:
    """Deliveries at saturation. `per_cpu_slow` is the slowest second: a checkpoint of SQLite may be in it."""

    per_second: float
    per_cpu_second: float
    per_cpu_slow: float
    answers: list[float]
    """Seconds that each push waited for its answer."""


class Saturation:
    """Each connection pushes again when it was answered, unless the readers are too far behind.

    That bound is the same for all servers. It keeps what is under way smaller than the kernel's buffers, so that no
    server has to treat our readers as slow ones.
    """

    def __init__(
        self,
        loop: Loop,
        readers: Sequence[Reader],
        pushers: Sequence[Pusher | Control],
        event_bytes: int,
    ) -> None:
        self._loop = loop
        self._readers = readers
        self._pushers = pushers
        unread = _MOST_UNREAD_BYTES // (event_bytes * len(readers))
        self._most_behind = max(AGENTS, min(AGENTS * len(pushers), unread))
        self._before = self._delivered()
        for party in (*readers, *pushers):
            loop.add(party)

    def measure(self, peer: Peer) -> Capacity:
        """Load the server for some seconds."""
        self._run(WARM_UP_SECONDS)
        for pusher in self._pushers:
            pusher.latencies.clear()
        begun, cpu, events = time.perf_counter(), peer.cpu_seconds(), self._delivered()
        rates = [self._slice(peer) for _ in range(SLICES)]
        events, cpu = self._delivered() - events, peer.cpu_seconds() - cpu
        return Capacity(
            per_second=events / (time.perf_counter() - begun),
            per_cpu_second=events / cpu,
            per_cpu_slow=min(rates),
            answers=[seconds for pusher in self._pushers for seconds in pusher.latencies],
        )

    def missing(self) -> float:
        """Stop pushing and let everything arrive; the part of all events that never did, say by being folded."""
        while any(pusher.waiting for pusher in self._pushers):
            self._loop.turn(0.05)
        self._loop.settle()
        pushed = AGENTS * sum(pusher.answers for pusher in self._pushers) * len(self._readers)
        return 1 - (self._delivered() - self._before) / pushed

    def _slice(self, peer: Peer) -> float:
        cpu, events = peer.cpu_seconds(), self._delivered()
        self._run(SLICE_SECONDS)
        return (self._delivered() - events) / max(0.001, peer.cpu_seconds() - cpu)

    def _run(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pushed = AGENTS * sum(pusher.answers for pusher in self._pushers)
            arrived = (self._delivered() - self._before) / len(self._readers)
            if pushed - arrived < self._most_behind:
                for pusher in self._pushers:
                    if not pusher.waiting:
                        pusher.push()
            self._loop.turn(0.01)

    def _delivered(self) -> int:
        return sum(reader.events for reader in self._readers)
