"""One run that prints 1 000 000 lines: memory of the server, and whether every reader gets every line once.

The lines are pushed through the mutation. A live and a slow reader watch from the beginning, a late one joins at the end.
"""

import http.client
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson

from tests.bench.fleet import ADMIN_TOKEN
from tests.bench.harness import Peer, headline, percentile, pin_client, python_peer, repeats, serving, table
from tests.bench.load import post

LINES, PART = 1_000_000, 1000
CONNECT = """mutation ($input: OrchestratorConnectInput!) { orchestratorConnect(input: $input) {
  ... on OrchestratorConnectSuccess { connectionId } } }"""
TOKEN = """mutation { tokenCreate(input: {name: "bench", scope: ORCHESTRATOR}) {
  ... on TokenCreateSuccess { secret } } }"""
RUN = """mutation ($input: OrchestratorReportRunsInput!) { orchestratorReportRuns(input: $input) { __typename } }"""
PUSH = """mutation ($input: OrchestratorReportLogsInput!) { orchestratorReportLogs(input: $input) {
  ... on OrchestratorReportLogsSuccess { storedLines droppedLines } ... on Error { message } } }"""
LOG = """subscription { runLog(run: "r1", job: "j1") { snapshot { lines { number text } gaps { fromLine toLine } }
  events { __typename ... on LogLines { lines { number text } gaps { fromLine toLine } } ... on LogEnd { totalLines } } } }"""
HOST = {
    "hostname": "h",
    "runningAs": "ci",
    "platform": "linux",
    "arch": "x86_64",
    "cpuCount": 4,
    "memoryTotalMb": 1024,
}


def main() -> None:
    total = int(os.environ.get("BENCH_LINES", LINES))
    headline(f"One run that prints {total:,} lines")
    pin_client()
    for _ in range(repeats()):
        with serving(python_peer("ours")) as peer:
            _measure(peer, total)


class Reader(threading.Thread):
    """Reads a log as an event stream to its end, and checks that each line comes once, in order."""

    def __init__(self, port: int, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.pause = pause
        self.next_line = 0
        self.wrong = ""
        self.frames = 0
        self.ended_at = 0.0

    def run(self) -> None:
        for frame in _frames(self.port):
            self.frames += 1
            for part in [frame["snapshot"]] if frame["snapshot"] else frame["events"]:
                if part.get("__typename") == "LogEnd":
                    self.ended_at = time.perf_counter()
                    return
                self._take(part)
            time.sleep(self.pause)

    def _take(self, part: Any) -> None:
        for line in part["lines"]:
            if line["number"] != self.next_line or line["text"] != text(self.next_line):
                self.wrong = self.wrong or f"{line['number']} instead of {self.next_line}"
            self.next_line = line["number"] + 1
        if part["gaps"]:
            self.wrong = self.wrong or f"a gap: {part['gaps'][0]}"


def _frames(port: int) -> Iterator[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Accept": "text/event-stream", **_headers(ADMIN_TOKEN)}
    connection.request("POST", "/graphql", orjson.dumps({"query": LOG}), headers)
    response = connection.getresponse()
    while line := response.readline():
        if line.startswith(b"data:") and b'"runLog"' in line:
            yield orjson.loads(line[5:])["data"]["runLog"]


def _headers(token: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}


def text(number: int) -> str:
    return f"{number:07d} compiling module number {number} of a very large project"


def _measure(peer: Peer, total: int) -> None:
    secret = post(peer.port, {"query": TOKEN}, ADMIN_TOKEN)["data"]["tokenCreate"]["secret"]
    wanted = {"clusterName": "prod", "instanceId": "one", "version": "1", "host": HOST}
    answer = post(peer.port, {"query": CONNECT, "variables": {"input": wanted}}, secret)
    connection_id = answer["data"]["orchestratorConnect"]["connectionId"]

    def tell(status: str) -> None:
        run = {"runId": "r1", "status": status, "jobs": [{"jobId": "j1", "status": status}]}
        variables = {"input": {"connectionId": connection_id, "runs": [run]}}
        post(peer.port, {"query": RUN, "variables": variables}, secret)

    tell("RUNNING")
    live, slow = Reader(peer.port), Reader(peer.port, pause=0.25)
    live.start()
    slow.start()
    pusher = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=60)
    latencies: list[float] = []
    rows: list[tuple[object, ...]] = []
    begun = time.perf_counter()
    for first in range(0, total, PART):
        lines = [text(number) for number in range(first, min(total, first + PART))]
        part = {"runId": "r1", "jobId": "j1", "step": 0, "firstLine": first, "lines": lines}
        variables = {"input": {"connectionId": connection_id, "parts": [part]}}
        body = orjson.dumps({"query": PUSH, "variables": variables})
        sent = time.perf_counter()
        pusher.request("POST", "/graphql", body, _headers(secret))
        stored = orjson.loads(pusher.getresponse().read())["data"]["orchestratorReportLogs"]
        latencies.append((time.perf_counter() - sent) * 1000)
        if stored != {"storedLines": len(lines), "droppedLines": 0}:
            raise RuntimeError(stored)
        if (first + PART) % max(PART, total // 10) == 0:
            recent = latencies[-total // 10 // PART :]
            rate = (first + PART) / (time.perf_counter() - begun)
            rows.append(
                (
                    first + PART,
                    peer.resident_kib() / 1024,
                    percentile(recent, 0.5),
                    percentile(recent, 0.95),
                    rate,
                    live.next_line,
                    slow.next_line,
                )
            )
    tell("SUCCESS")
    head = (
        "lines pushed",
        "RSS MiB",
        "push p50 ms",
        "push p95 ms",
        "lines/s so far",
        "live reader at",
        "slow reader at",
    )
    table(head, rows)
    _late(peer, live, slow)


def _late(peer: Peer, live: Reader, slow: Reader) -> None:
    begun = time.perf_counter()
    late = Reader(peer.port)
    late.start()
    rows = []
    for name, reader in (("live", live), ("late", late)):
        reader.join(300)
        took = reader.ended_at - begun
        rows.append((name, reader.next_line, reader.frames, reader.wrong or "each line once, in order", took))
    slow.pause = 0  # it may hurry now
    slow.join(300)
    rows.append(
        ("slow", slow.next_line, slow.frames, slow.wrong or "each line once, in order", slow.ended_at - begun)
    )
    table(("reader", "lines", "frames", "verdict", "s from the last push to its end"), rows)
    print(f"RSS at the end: {peer.resident_kib() / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
