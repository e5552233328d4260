"""Events delivered at saturation: 1 to 1 000 subscribers with one document, and 1 000 with 50 different ones.

50 connections push 20 heartbeats each, over and over, in the same way to everybody. Beside ours, which is durable:
stock Strawberry without a database, a bare Starlette loop that sends each event of the same size as a frame of its own,
and, where there is a C compiler, a C program that writes the frames of a push in one call.

Arguments: the number of runs, then any number of subscribers to restrict it to, such as `3 1 1000`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.fleet import ADMIN_TOKEN, FIELDS, ORCHESTRATORS, heartbeat_body, populate, subscription
from tests.bench.harness import headline, median, percentile, pin_client, python_peer, serving, table
from tests.bench.load import Control, Loop, Pusher, open_reader, open_subscription, open_websocket
from tests.bench.saturation import Capacity, Saturation

STOCK_DOCUMENT = f"subscription {{ heartbeats {{ {FIELDS} }} }}"

# subscribers, documents -> wanted ratio to stock, to bare Starlette, to the C program
WANTED: dict[tuple[int, int], tuple[str, str, str]] = {
    (1, 1): ("40", "1.7", "-"),
    (10, 1): ("110", "7", "0.15"),
    (100, 1): ("200", "14", "0.4"),
    (1000, 1): ("300", "20", "0.5"),
    (1000, 50): ("50", "-", "-"),
}


@contextmanager
def closing(loop: Loop) -> Iterator[Loop]:
    try:
        yield loop
    finally:
        loop.close()


def ours(count: int, documents: int, event_bytes: int) -> Capacity:
    with serving(python_peer("ours")) as peer, closing(Loop()) as loop:
        token, bodies = populate(peer.port)
        names = [subscription(f"a{number}" if documents > 1 else "") for number in range(documents)]
        readers = [open_subscription(peer.port, ADMIN_TOKEN, names[n % documents]) for n in range(count)]
        load = Saturation(loop, readers, [Pusher(peer.port, token, body) for body in bodies], event_bytes)
        loop.settle()
        found = load.measure(peer)
        if missing := load.missing():
            print(f"{count} subscribers, {documents} documents: {missing:.1%} of all events were folded",
                  file=sys.stderr)  # fmt: skip
        return found


def stock(count: int, documents: int, event_bytes: int) -> Capacity:
    with serving(python_peer("stock")) as peer, closing(Loop()) as loop:
        names = [
            STOCK_DOCUMENT.replace("version", f"a{number}: version") if documents > 1 else STOCK_DOCUMENT
            for number in range(documents)
        ]
        readers = [open_subscription(peer.port, "", names[n % documents]) for n in range(count)]
        pushers = [Pusher(peer.port, "", heartbeat_body("-", number)) for number in range(ORCHESTRATORS)]
        load = Saturation(loop, readers, pushers, event_bytes)
        loop.settle()
        return load.measure(peer)


def bare(count: int, _documents: int, event_bytes: int) -> Capacity:
    with serving(python_peer("bare"), BENCH_EVENT_BYTES=str(event_bytes)) as peer, closing(Loop()) as loop:
        readers = [open_websocket(peer.port) for _ in range(count)]
        pushers = [Pusher(peer.port, "", lambda: b"{}", path="/push") for _ in range(ORCHESTRATORS)]
        return Saturation(loop, readers, pushers, event_bytes).measure(peer)


def merging_c(count: int, _documents: int, event_bytes: int) -> Capacity | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder, closing(Loop()) as loop:
        program = str(Path(folder, "merging"))
        source = str(Path(__file__).parent / "peers" / "merging.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        with serving([program], BENCH_EVENT_BYTES=str(event_bytes)) as peer:
            readers = [open_reader(peer.port) for _ in range(count)]
            pushers = [Control(peer.port) for _ in range(ORCHESTRATORS)]
            return Saturation(loop, readers, pushers, event_bytes).measure(peer)


def event_bytes() -> int:
    """Size of one of our events in its frame."""
    with serving(python_peer("ours")) as peer, closing(Loop()) as loop:
        token, bodies = populate(peer.port)
        reader = open_subscription(peer.port, ADMIN_TOKEN, subscription())
        loop.add(reader)
        loop.settle()
        size, events = reader.bytes, reader.events
        pusher = Pusher(peer.port, token, bodies[0])
        loop.add(pusher)
        pusher.push()
        loop.settle()
        if b'"acceptedAgents":20' not in pusher.last_answer:
            raise RuntimeError(pusher.last_answer.decode())
        return int((reader.bytes - size) / (reader.events - events))


Contender = Callable[[int, int, int], Capacity | None]
CONTENDERS: dict[str, Contender] = {
    "kici_gql": ours,
    "stock Strawberry": stock,
    "bare Starlette": bare,
    "merging C": merging_c,
}


def compare(count: int, documents: int, size: int, runs: int) -> dict[str, list[Capacity]]:
    """All contenders in turn, several times."""
    names = list(CONTENDERS) if documents == 1 else list(CONTENDERS)[:2]
    found: dict[str, list[Capacity]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            if (capacity := CONTENDERS[name](count, documents, size)) is not None:
                found[name].append(capacity)
                print(
                    f"{count}/{documents} {name}: {capacity.per_cpu_second:,.0f}", file=sys.stderr, flush=True
                )
    return {name: capacities for name, capacities in found.items() if capacities}


def row(name: str, capacities: list[Capacity]) -> list[object]:
    answers = [seconds * 1e3 for capacity in capacities for seconds in capacity.answers]
    return [
        name,
        median(each.per_second for each in capacities),
        median(each.per_cpu_second for each in capacities),
        median(each.per_cpu_slow for each in capacities),
        percentile(answers, 0.5),
        percentile(answers, 0.99),
    ]


def main() -> None:
    pin_client()
    headline("Fan-out: events delivered at saturation, 50 connections that push 20 heartbeats each")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    counts = set(map(int, sys.argv[2:]))
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    size = event_bytes()
    print(f"One event: {size} bytes.\n")
    figures, ratios = [], []
    for (count, documents), wanted in WANTED.items():
        if counts and count not in counts:
            continue
        found = compare(count, documents, size, runs)
        figures += [[count, documents, *row(name, capacities)] for name, capacities in found.items()]
        per_cpu = [median(each.per_cpu_second for each in capacities) for capacities in found.values()]
        ratios.append([count, documents, *(_ratio(per_cpu, n, wanted[n - 1]) for n in (1, 2, 3))])
    table(["subscribers", "documents", "server", "events/s", "events/CPU s", "slowest second",
           "answer p50 ms", "p99 ms"], figures)  # fmt: skip
    table(["subscribers", "documents", ": stock (wanted)", ": bare (wanted)", ": C (wanted)"], ratios)


def _ratio(per_cpu: list[float], other: int, wanted: str) -> str:
    return f"{per_cpu[0] / per_cpu[other]:.3g} ({wanted})" if other < len(per_cpu) else "-"


if __name__ == "__main__":
    main()
