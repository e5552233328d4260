"""Heartbeat mutations per second: 50 keep-alive connections, 20 agents per push, one core for the server.

Ours durable; the same mutation without its database statements, and without any transaction; and stock Strawberry with
a transaction per mutation, and without a database. Rounds of all five, for the machine's speed drifts; ratios are the
medians of the rounds' own.
"""

import sys
import time
from collections.abc import Callable

from tests.bench.fleet import ORCHESTRATORS, heartbeat_body, populate
from tests.bench.harness import Peer, headline, median, percentile, pin_client, python_peer, serving, table
from tests.bench.load import Loop, Pusher

WARM_UP_SECONDS, SECONDS, RUNS = 3.0, 4.0, 3


def measure(peer: Peer, token: str, bodies: list[Callable[[], bytes]]) -> tuple[float, float, list[float]]:
    """Mutations per second, CPU seconds of the server per mutation, latencies."""
    loop = Loop()
    stop = False

    def go_on(pusher: Pusher) -> None:
        if b'"acceptedAgents":20' not in pusher.last_answer:
            raise RuntimeError(pusher.last_answer.decode())
        if not stop:
            pusher.push()

    pushers = [Pusher(peer.port, token, body, go_on) for body in bodies]
    for pusher in pushers:
        loop.add(pusher)
        pusher.push()
    loop.run(lambda: False, WARM_UP_SECONDS)
    answers, cpu, begun = sum(p.answers for p in pushers), peer.cpu_seconds(), time.perf_counter()
    for pusher in pushers:
        pusher.latencies.clear()
    loop.run(lambda: False, SECONDS)
    done = sum(p.answers for p in pushers) - answers
    rate, each = done / (time.perf_counter() - begun), (peer.cpu_seconds() - cpu) / done
    latencies = [seconds for pusher in pushers for seconds in pusher.latencies]
    stop = True
    loop.settle(0.2)
    loop.close()
    return rate, each, latencies


def ours(write: str) -> tuple[float, float, list[float]]:
    with serving(python_peer("ours"), BENCH_WRITE=write) as peer:
        return measure(peer, *populate(peer.port))


def stock(database: str) -> tuple[float, float, list[float]]:
    with serving(python_peer("stock"), BENCH_DATABASE=database) as peer:
        return measure(peer, "", [heartbeat_body("-", number) for number in range(ORCHESTRATORS)])


def main() -> None:
    pin_client()
    headline("Ingest: heartbeat mutations, 20 agents each, 50 keep-alive connections")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    contenders: dict[str, Callable[[], tuple[float, float, list[float]]]] = {
        "kici_gql, durable": lambda: ours("yes"),
        "kici_gql, statements taken out": lambda: ours("unwritten"),
        "kici_gql, no transaction": lambda: ours("unasked"),
        "stock Strawberry, one transaction each": lambda: stock("yes"),
        "stock Strawberry, no database": lambda: stock("no"),
    }
    rounds = [{name: run() for name, run in contenders.items()} for _ in range(runs)]
    found = {name: [each[name] for each in rounds] for name in contenders}
    rates = {name: median(run[0] for run in results) for name, results in found.items()}
    rows = []
    for name, results in found.items():
        latencies = [seconds for run in results for seconds in run[2]]
        rows.append(
            [name, rates[name], median(run[1] for run in results) * 1e3]
            + [percentile(latencies, part) * 1e3 for part in (0.5, 0.99)]
        )
    table(["server", "mutations/s", "CPU ms each", "p50 ms", "p99 ms"], rows)
    durable, unwritten, unasked, transactional, _ = contenders

    def ratio(one: str, other: str) -> float:
        return median(each[one][0] / each[other][0] for each in rounds)

    table(
        ["ratio", "found", "wanted"],
        [
            ["durable : statements taken out", ratio(durable, unwritten), "0.7 (issue 2)"],
            ["durable : no transaction", ratio(durable, unasked), "-"],
            ["durable : stock with one transaction each", ratio(durable, transactional), "25 (issue 6)"],
        ],
    )


if __name__ == "__main__":
    main()
