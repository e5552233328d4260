"""The stream as it really is: 50 pages of 20 heartbeats per 30 seconds, to 500 subscribers; and what an idle one costs.

CPU of the server as a share of one core, how long after its push each page had arrived at each subscriber, and the
memory of each subscription that nothing happens on. Beside ours: stock Strawberry as it comes (with deflate), and a bare
Starlette loop with a frame per event.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from tests.bench.fleet import (
    ADMIN_TOKEN,
    FIELDS,
    ORCHESTRATORS,
    TREE_HOSTNAME,
    heartbeat_body,
    populate,
    subscription,
)
from tests.bench.harness import Peer, headline, median, percentile, pin_client, python_peer, serving, table
from tests.bench.load import Loop, Pusher, Reader, TimedReader, open_subscription, open_websocket

SUBSCRIBERS, PAGES, SECONDS, WARM_UP_PAGES = 500, 50, 30.0, 3
IDLE_BEFORE, IDLE = 100, 1000
STOCK_DOCUMENT = f"subscription {{ heartbeats {{ {FIELDS} }} }}"


@dataclass
class Side:
    """A running server, and how to push to it and to read from it."""

    peer: Peer
    pushers: list[Pusher]
    open: Callable[[], Reader]


@contextmanager
def ours() -> Iterator[Side]:
    with serving(python_peer("ours")) as peer:
        token, bodies = populate(peer.port, TREE_HOSTNAME)
        pushers = [Pusher(peer.port, token, body) for body in bodies]
        yield Side(peer, pushers, lambda: open_subscription(peer.port, ADMIN_TOKEN, subscription()))


@contextmanager
def stock() -> Iterator[Side]:
    with serving(python_peer("stock")) as peer:
        pushers = [Pusher(peer.port, "", heartbeat_body("-", number)) for number in range(ORCHESTRATORS)]
        yield Side(peer, pushers, lambda: open_subscription(peer.port, "", STOCK_DOCUMENT))


@contextmanager
def bare() -> Iterator[Side]:
    with serving(python_peer("bare"), BENCH_EVENT_BYTES="672") as peer:
        pushers = [Pusher(peer.port, "", lambda: b"{}", path="/push") for _ in range(ORCHESTRATORS)]
        yield Side(peer, pushers, lambda: open_websocket(peer.port))


CONTENDERS = {"kici_gql": ours, "stock Strawberry": stock, "bare Starlette": bare}


@dataclass(frozen=True)
class Streamed:
    """`late` is the part of all pages that had not arrived at the end: a server that does not keep up."""

    core_share: float
    latencies: list[float]
    late: float


def stream(side: Side) -> Streamed:
    """Every 0.6 s another orchestrator pushes its page."""
    loop = Loop()
    pushes: list[float] = []
    readers = [TimedReader(side.open().connection, pushes) for _ in range(SUBSCRIBERS)]
    for reader in readers:
        loop.add(reader)
    for pusher in side.pushers:
        loop.add(pusher)
    loop.settle(1.0)
    turn = cycle(side.pushers)
    for _ in range(WARM_UP_PAGES):
        next(turn).push()
        loop.settle(0.1, at_most=5.0)
    for reader in readers:
        reader.start()
    cpu, begun = side.peer.cpu_seconds(), time.perf_counter()
    for page in range(PAGES):
        pushes.append(time.perf_counter())
        next(turn).push()
        loop.run(lambda: False, begun + (page + 1) * SECONDS / PAGES - time.perf_counter())
    share = (side.peer.cpu_seconds() - cpu) / (time.perf_counter() - begun)
    latencies = [seconds for reader in readers for seconds in reader.latencies]
    loop.close()
    return Streamed(share, latencies, 1 - len(latencies) / (PAGES * SUBSCRIBERS))


def idle_kib(side: Side) -> float:
    """Memory of the server per subscription; the first hundred pay for what is needed once."""
    loop = Loop()

    def more(count: int) -> float:
        for number in range(count):
            loop.add(side.open())
            if number % 20 == 0:
                loop.settle(0.05)
        loop.settle(2.0)
        return side.peer.resident_kib()

    before = more(IDLE_BEFORE)
    each = (more(IDLE) - before) / IDLE
    loop.close()
    return each


def main() -> None:
    pin_client()
    headline(f"The real stream: {PAGES} pages of 20 heartbeats in {SECONDS:g} s to {SUBSCRIBERS} subscribers")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    rows = []
    for name, contender in CONTENDERS.items():
        found, memory = [], []
        for _ in range(runs):
            with contender() as side:
                found.append(stream(side))
            with contender() as side:
                memory.append(idle_kib(side))
        latencies = [seconds * 1e3 for each in found for seconds in each.latencies]
        rows.append([
            name, 100 * median(each.core_share for each in found), percentile(latencies, 0.5),
            percentile(latencies, 0.99), 100 * median(each.late for each in found), median(memory),
        ])  # fmt: skip
        print(rows[-1], file=sys.stderr, flush=True)
    table(["server", "% of a core", "p50 ms", "p99 ms", "% late pages", "KiB per idle subscription"], rows)
    print("Wanted of ours: at most 3 % of a core, p99 under 60 ms, at most 28 KB.\n")


if __name__ == "__main__":
    main()
