"""Events delivered per CPU second of the server: 1 to 1 000 subscribers with one document, and 1 000 with 50.

Beside ours: stock Strawberry (no database), a bare Starlette loop that sends each event of the same size as its own
frame, and, where there is a C compiler, a C program that writes a page's frames in one call. Everybody has all
events of one push before the next one begins, so that nothing queues up and nothing is folded.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.fleet import ADMIN_TOKEN, FIELDS, heartbeat_body, populate, subscription
from tests.bench.harness import Peer, headline, median, pin_client, python_peer, serving, table
from tests.bench.load import Loop, Pusher, Reader, open_reader, open_subscription, open_websocket, post

SECONDS = 3.0
EVENTS = 20
STOCK_DOCUMENT = f"subscription {{ heartbeats {{ {FIELDS} }} }}"


def per_cpu_second(peer: Peer, readers: list[Reader], loop: Loop, work: Callable[[], None]) -> float:
    """Let `work` run for a while; events that arrived per second of the server's CPU."""
    loop.settle()
    events, cpu, begun = sum(reader.events for reader in readers), peer.cpu_seconds(), time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        work()
    loop.settle()
    return (sum(reader.events for reader in readers) - events) / max(0.01, peer.cpu_seconds() - cpu)


def in_step(
    readers: list[Reader], loop: Loop, push: Callable[[], None], events: int = EVENTS
) -> Callable[[], None]:
    """One push, then wait until everybody has all of it: nothing queues up, and nothing is folded."""

    def step() -> None:
        wanted = [reader.events + events for reader in readers]
        push()
        if not loop.run(lambda: all(r.events >= w for r, w in zip(readers, wanted, strict=True)), 60):
            raise RuntimeError("not all events arrived")

    return step


def ours(count: int, documents: int = 1) -> float:
    """Rounds: each of the fifty orchestrators pushes once, then everybody gets all thousand events."""
    with serving(python_peer("ours")) as peer:
        token, bodies = populate(peer.port)
        loop = Loop()
        names = [subscription(f"a{number}" if documents > 1 else "") for number in range(documents)]
        readers = [open_subscription(peer.port, ADMIN_TOKEN, names[n % documents]) for n in range(count)]
        pushers = [Pusher(peer.port, token, body, lambda _: None) for body in bodies]
        for reader in readers:
            loop.add(reader)
        for pusher in pushers:
            loop.add(pusher)

        def push() -> None:
            for pusher in pushers:
                pusher.push()

        step = in_step(readers, loop, push, EVENTS * len(pushers))
        loop.settle()
        for _ in range(3):  # agents come ONLINE, documents are compiled
            push()
            loop.settle()
        found = per_cpu_second(peer, readers, loop, step)
        loop.close()
        return found


def stock(count: int, documents: int = 1) -> float:
    with serving(python_peer("stock")) as peer:
        loop = Loop()
        names = [
            STOCK_DOCUMENT.replace("version", f"a{number}: version") if documents > 1 else STOCK_DOCUMENT
            for number in range(documents)
        ]
        readers = [open_subscription(peer.port, "", names[n % documents]) for n in range(count)]
        pusher = Pusher(peer.port, "", heartbeat_body("-", 0), lambda _: None)
        for reader in readers:
            loop.add(reader)
        loop.add(pusher)
        found = per_cpu_second(peer, readers, loop, in_step(readers, loop, pusher.push))
        loop.close()
        return found


def bare(count: int, event_bytes: int) -> float:
    with serving(python_peer("bare"), BENCH_EVENT_BYTES=str(event_bytes)) as peer:
        loop = Loop()
        readers = [open_websocket(peer.port) for _ in range(count)]
        for reader in readers:
            loop.add(reader)

        def push() -> None:
            with_thread = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"from tests.bench.load import post; post({peer.port}, {{}}, path='/push')",
                ]
            )
            wanted = [reader.events + EVENTS for reader in readers]
            loop.run(lambda: all(r.events >= w for r, w in zip(readers, wanted, strict=True)), 60)
            with_thread.wait()

        if (
            count * EVENTS * event_bytes < 500_000
        ):  # fits into the sockets' buffers: no need to read meanwhile

            def push() -> None:
                post(peer.port, {}, path="/push")
                loop.turn(0)

        found = per_cpu_second(peer, readers, loop, push)
        loop.close()
        return found


def merging_c(count: int, event_bytes: int) -> float:
    compiler = shutil.which("cc")
    if compiler is None:
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "merging"))
        source = str(Path(__file__).parent / "peers" / "merging.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        with serving([program], BENCH_EVENT_BYTES=str(event_bytes)) as peer:
            loop = Loop()
            readers, control = [open_reader(peer.port) for _ in range(count)], open_reader(peer.port)
            for reader in (*readers, control):
                loop.add(reader)
            found = per_cpu_second(
                peer, readers, loop, in_step(readers, loop, lambda: control.connection.sendall(b"p"))
            )
            loop.close()
            return found


def event_bytes() -> int:
    """Size of one of our events in its frame."""
    with serving(python_peer("ours")) as peer:
        token, bodies = populate(peer.port)
        reader = open_subscription(peer.port, ADMIN_TOKEN, subscription())
        loop = Loop()
        loop.add(reader)
        loop.settle()
        size, events = reader.bytes, reader.events
        pusher = Pusher(peer.port, token, bodies[0], lambda _: None)
        loop.add(pusher)
        pusher.push()
        loop.settle()
        return int((reader.bytes - size) / (reader.events - events))


def main() -> None:
    pin_client()
    headline("Fan-out: events delivered per CPU second of the server")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    size = event_bytes()
    print(f"One event: {size} bytes.\n")
    rows = []
    for count, documents in ((1, 1), (10, 1), (100, 1), (1000, 1), (1000, 50)):
        our = median(ours(count, documents) for _ in range(runs))
        theirs = median(stock(count, documents) for _ in range(runs))
        plain = median(bare(count, size) for _ in range(runs))
        floor = median(merging_c(count, size) for _ in range(runs))
        rows.append([count, documents, our, theirs, plain, floor, our / theirs, our / plain, our / floor])
        print(rows[-1], file=sys.stderr, flush=True)
    table(
        ["subscribers", "documents", "kici_gql", "stock Strawberry", "bare Starlette", "merging C",
         ": stock", ": bare", ": C"],
        rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
