"""200 orchestrators of 20 agents each come at once: how long others' heartbeats take meanwhile.

50 orchestrators push a heartbeat in turn, one each 20 ms, from before the others come until their first questions have
been answered. They come as stock KiCI orchestrators over /ws, or with `orchestratorConnect` over 200 HTTP connections.
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import orjson

from tests.bench.bench_relay import Simulated, Timing
from tests.bench.fleet import CONNECT, HOSTNAME, connect_input, populate
from tests.bench.harness import Peer, headline, percentile, pin_client, python_peer, serving, table
from tests.bench.load import Loop, Pusher

COMING, FIRST_NUMBER = 200, 1000
EVERY_SECONDS, BEFORE_SECONDS, AFTER_SECONDS = 0.02, 3.0, 10.0
AT_MOST_SECONDS = 120.0

Arrive = Callable[[int, str, Connection], None]


def stock(port: int, token: str, parent: Connection) -> None:
    """Come over /ws, and answer what is asked until the parent ends this process."""
    pin_client()
    asyncio.run(_stock(port, token, parent))


async def _stock(port: int, token: str, parent: Connection) -> None:
    fleet = [Simulated(FIRST_NUMBER + number, Timing()) for number in range(COMING)]
    parent.send("they come")
    tasks = [asyncio.create_task(each.run(f"ws://127.0.0.1:{port}/ws", token)) for each in fleet]
    await asyncio.gather(*(each.ready.wait() for each in fleet))
    parent.send("all are there")
    await asyncio.gather(*tasks)


def pushing(port: int, token: str, parent: Connection) -> None:
    """Come with a mutation each, all of them on their way before one is answered."""
    pin_client()
    loop = Loop()
    fleet = [Pusher(port, token, _introduction(FIRST_NUMBER + number)) for number in range(COMING)]
    parent.send("they come")
    for each in fleet:
        loop.add(each)
        each.push()
    assert loop.run(lambda: all(each.answers for each in fleet), AT_MOST_SECONDS)
    assert all(b'"connectionId"' in each.last_answer for each in fleet), fleet[0].last_answer
    parent.send("all are there")


def _introduction(number: int) -> Callable[[], bytes]:
    body = orjson.dumps({"query": CONNECT, "variables": {"input": connect_input(number, HOSTNAME)}})
    return lambda: body


def measure(peer: Peer, arrive: Arrive) -> list[object]:
    """One row of the table."""
    token, bodies = populate(peer.port)
    loop = Loop()
    beating = [Pusher(peer.port, token, body) for body in bodies]
    for each in beating:
        loop.add(each)
    _beat(loop, beating, lambda: False, BEFORE_SECONDS)
    quiet = _latencies(beating)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    coming = multiprocessing.get_context("spawn").Process(target=arrive, args=(peer.port, token, theirs))
    coming.start()
    _beat(loop, beating, ours.poll, AT_MOST_SECONDS)
    assert ours.recv() == "they come"
    _latencies(beating)
    begun, cpu = time.perf_counter(), peer.cpu_seconds()
    _beat(loop, beating, ours.poll, AT_MOST_SECONDS)
    assert ours.recv() == "all are there"
    took = time.perf_counter() - begun
    _beat(loop, beating, lambda: False, AFTER_SECONDS)
    found, cpu = _latencies(beating), peer.cpu_seconds() - cpu
    coming.terminate()
    coming.join()
    return [arrive.__name__, took, cpu, len(found), *(percentile(quiet, part) for part in (0.5, 0.99)),
            *(percentile(found, part) for part in (0.5, 0.99)), max(found)]  # fmt: skip


def _beat(loop: Loop, beating: list[Pusher], done: Callable[[], bool], at_most: float) -> None:
    """Push in turn, whether or not the others were answered; who still waits for its answer is passed over."""
    begun, number = time.perf_counter(), 0
    while not done() and (now := time.perf_counter() - begun) < at_most:
        if now >= number * EVERY_SECONDS:
            pusher = beating[number % len(beating)]
            if not pusher.waiting:
                pusher.push()
            number += 1
        loop.turn(max(0.0, number * EVERY_SECONDS - now))
    loop.run(
        lambda: not any(each.waiting for each in beating), AT_MOST_SECONDS if at_most < AT_MOST_SECONDS else 0
    )


def _latencies(beating: list[Pusher]) -> list[float]:
    """Milliseconds from each heartbeat to its answer since this was last asked."""
    found = [seconds * 1e3 for each in beating for seconds in each.latencies]
    for each in beating:
        each.latencies.clear()
    return found


def main() -> None:
    pin_client()
    headline(f"Burst: {COMING} orchestrators come at once while others beat")
    rows = []
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        for arrive in (stock, pushing):
            with serving(python_peer("ours")) as peer:
                rows.append(measure(peer, arrive))
    table(
        ["how they come", "s until all are there", "server's CPU s", "beats", "p50 ms before", "p99 ms before",
         "p50 ms meanwhile", "p99 ms meanwhile", "worst ms"],
        rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
