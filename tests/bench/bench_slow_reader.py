"""What readers at one per cent of the speed cost the others: 5 000 heartbeats a second without them, with, and without again.

The same server and the same healthy readers all the time; a log that grows costs something too, which the third time
tells. How fast a slow one reads follows from what a healthy one has got by then, not from the clock.
"""

import socket
import time
from collections.abc import Sequence
from itertools import cycle

from tests.bench.fleet import ADMIN_TOKEN, AGENTS, TREE_HOSTNAME, populate, subscription
from tests.bench.harness import (
    Peer,
    headline,
    median,
    percentile,
    pin_client,
    python_peer,
    repeats,
    serving,
    table,
)
from tests.bench.load import Loop, Pusher, Reader, TimedReader, open_subscription

HEALTHY, SLOW, SPEED = 10, 10, 0.01
BEATS_PER_SECOND, SECONDS, WARM_UP_SECONDS = 5_000, 20.0, 5.0
EVERY_SECONDS = AGENTS / BEATS_PER_SECOND


class SlowReader(Reader):
    """One that takes as many bytes as it is told to have, and no more."""

    def read_up_to(self, wanted: float) -> None:
        while self.bytes < wanted:
            try:
                self.bytes += len(self.connection.recv(4096))
            except BlockingIOError:
                return


class Stage:
    """The readers and pushers of one server."""

    def __init__(self, port: int) -> None:
        token, bodies = populate(port, TREE_HOSTNAME)
        self._port = port
        self._pushes: list[float] = []
        self._loop = Loop()
        self._pushers = [Pusher(port, token, body) for body in bodies]
        self._healthy = [TimedReader(self._subscribed(), self._pushes) for _ in range(HEALTHY)]
        self._slow: list[SlowReader] = []
        for pusher in self._pushers:
            self._loop.add(pusher)
        for reader in self._healthy:
            self._loop.add(reader)
        self._loop.settle(1.0)

    def add_slow_readers(self) -> None:
        for _ in range(SLOW):
            connection = self._subscribed()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            connection.setblocking(False)  # with a time-out Python would wait here, whatever the flags say
            self._slow.append(SlowReader(connection))

    def play(self, seconds: float) -> tuple[list[float], float]:
        """Latencies of all pages at all healthy readers, and the part of the pages that they did not have at the end."""
        self._loop.settle(0.3)
        self._pushes.clear()
        for reader in self._healthy:
            reader.start()
        before = self._healthy[0].bytes, [each.bytes for each in self._slow]
        turn, begun = cycle(self._pushers), time.perf_counter()
        while (moment := begun + len(self._pushes) * EVERY_SECONDS) < begun + seconds:
            while (left := moment - time.perf_counter()) > 0:
                self._loop.turn(left)
            pusher = next(turn)
            while pusher.waiting:
                self._loop.turn(0.01)
            self._pushes.append(max(moment, time.perf_counter()))
            pusher.push()
            allowed = (self._healthy[0].bytes - before[0]) * SPEED
            for slow, at_first in zip(self._slow, before[1], strict=True):
                slow.read_up_to(at_first + allowed)
        self._loop.settle(0.3)
        found = [latency for reader in self._healthy for latency in reader.latencies]
        return found, 1 - len(found) / (len(self._pushes) * HEALTHY)

    def remove_slow_readers(self) -> None:
        for slow in self._slow:
            slow.connection.close()
        self._slow.clear()

    def close(self) -> None:
        self._loop.close()

    def _subscribed(self) -> socket.socket:
        return open_subscription(self._port, ADMIN_TOKEN, subscription()).connection


def compare(peer: Peer) -> Sequence[float]:
    """p99 in ms without slow readers, while they come, with them, and without again; late pages; memory in MiB."""
    stage = Stage(peer.port)
    stage.play(WARM_UP_SECONDS)
    played = [stage.play(SECONDS)]
    memory = peer.resident_kib()
    stage.add_slow_readers()
    played += [stage.play(WARM_UP_SECONDS), stage.play(SECONDS)]
    grown = peer.resident_kib() - memory
    stage.remove_slow_readers()
    played.append(stage.play(SECONDS))
    stage.close()
    late = max(late for _, late in played)
    return (
        *(percentile(latencies, 0.99) * 1e3 for latencies, _ in played),
        100 * late,
        memory / 1024,
        grown / 1024,
    )


def main() -> None:
    pin_client()
    headline(
        f"{HEALTHY} readers of {BEATS_PER_SECOND} heartbeats a second, beside {SLOW} at {SPEED:.0%} of the speed"
    )
    found = []
    for _ in range(repeats()):
        with serving(python_peer("ours")) as peer:
            found.append(compare(peer))
    before, coming, beside, after, late, memory, grown = (median(each) for each in zip(*found, strict=True))
    table(
        [
            "p99 ms without",
            "while they come",
            "with",
            "without again",
            "ratio",
            "% late pages",
            "MiB without",
            "MiB more",
        ],
        [[before, coming, beside, after, 2 * beside / (before + after), late, memory, grown]],
    )
    print("Wanted: a ratio of at most 1.2, memory flat (issue 6).\n")


if __name__ == "__main__":
    main()
