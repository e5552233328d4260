"""The web view with 1 000 agents on 50 orchestrators: how soon the tree is there, how smooth it stays, what it keeps.

One page in headless Chromium shows Diagnostics while every orchestrator beats every 2 s (fifteen times as often as by
default) for 60 s and somebody scrolls; then 30 minutes of heartbeats at the default interval, pushed as fast as the
server takes them. Memory is the JavaScript heap after a forced collection, so that only what is held counts.
"""

import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.bench.fleet import ADMIN_TOKEN, AGENTS, ORCHESTRATORS, populate
from tests.bench.harness import headline, python_peer, repeats, serving, table

CHROMIUM = "/usr/bin/chromium"
SMOOTH_SECONDS, BEAT_SECONDS = 60.0, 2.0
SIMULATED_MINUTES, DEFAULT_BEAT_SECONDS, PARTS = 30, 30, 6
WAIT_SECONDS = 30.0

# Long tasks are what the browser itself calls so: 50 ms and more on the page's main thread, wall clock.
WATCH = """
window.watched = { tasks: [], arrived: null, shown: null, messages: 0 };
new PerformanceObserver((list) => list.getEntries().forEach((each) => watched.tasks.push([each.startTime, each.duration])))
  .observe({ type: "longtask", buffered: true });
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      watched.messages += 1;
      if (watched.arrived !== null || !data.includes('"snapshot":{"clusters"')) return;
      watched.arrived = performance.now();
      const look = () => {
        if (!document.querySelector(".row.agent")) return requestAnimationFrame(look);
        requestAnimationFrame(() => (watched.shown = performance.now()));
      };
      look();
    });
  }
};
"""


class Fleet:
    """Pushes heartbeats over one connection."""

    def __init__(self, port: int) -> None:
        token, self._bodies = populate(port)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False
        )
        self.pushes = 0

    def push(self, body: Callable[[], bytes]) -> None:
        answer = self._client.post("/graphql", content=body())
        assert b'"acceptedAgents":20' in answer.content, answer.text
        self.pushes += 1

    def round(self) -> None:
        """One heartbeat of everybody."""
        for body in self._bodies:
            self.push(body)

    @contextmanager
    def beating(self, seconds: float) -> Iterator[None]:
        """Everybody beats every so many seconds, evenly spread, until the block ends."""
        over = threading.Event()

        def beat() -> None:
            start = time.monotonic()
            for number, body in enumerate(itertools.cycle(self._bodies), 1):
                self.push(body)
                if over.wait(max(0.0, start + number * seconds / len(self._bodies) - time.monotonic())):
                    return

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def opened(chromium: Browser, port: int) -> Page:
    url = f"http://127.0.0.1:{port}"
    context = chromium.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "kici_session", "value": ADMIN_TOKEN, "url": url}])
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto("/orgs/default/diagnostics")
    await_(page, "watched.shown !== null")
    return page


def await_(page: Page, expression: str) -> None:
    """Playwright's own waiting needs `unsafe-eval`, which the page's policy refuses."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not page.evaluate(expression):
        if time.monotonic() > deadline:
            raise TimeoutError(expression)
        page.wait_for_timeout(50)


def measure_opening(page: Page) -> None:
    seen = page.evaluate("watched")
    took = seen["shown"] - seen["arrived"]
    longest = max((duration for _, duration in seen["tasks"]), default=0)
    table(
        ["from the snapshot's arrival to painted rows, ms", "longest task until then, ms", "wanted"],
        [[took, longest, "< 1 000 ms"]],
    )


def measure_smoothness(page: Page, session: CDPSession, fleet: Fleet, seconds: float) -> None:
    page.evaluate("watched.tasks = []")
    before, pushes, cpu = time.monotonic(), fleet.pushes, metric(session, "TaskDuration")
    with fleet.beating(BEAT_SECONDS):
        while (passed := time.monotonic() - before) < seconds:
            page.mouse.wheel(0, 1500 if int(passed / 10) % 2 == 0 else -1500)
            page.wait_for_timeout(500)
    tasks = [duration for _, duration in page.evaluate("watched.tasks")]
    busy = (metric(session, "TaskDuration") - cpu) / (time.monotonic() - before)
    table(
        ["seconds", "heartbeats of agents", "tasks ≥ 50 ms", "longest task, ms", "main thread busy, %", "wanted"],
        [[seconds, (fleet.pushes - pushes) * AGENTS, len(tasks), max(tasks, default=0), busy * 100, "none > 100 ms"]],
    )  # fmt: skip


def measure_memory(page: Page, session: CDPSession, fleet: Fleet) -> None:
    rounds = SIMULATED_MINUTES * 60 // DEFAULT_BEAT_SECONDS
    rows = [[0, 0, *kept(session)]]
    for part in range(1, PARTS + 1):
        for _ in range(rounds // PARTS):
            fleet.round()
        caught_up(page)
        minutes = part * SIMULATED_MINUTES // PARTS
        rows.append([minutes, part * rounds // PARTS * ORCHESTRATORS * AGENTS, *kept(session)])
    table(["simulated minutes", "heartbeats of agents", "heap, KiB", "DOM nodes", "listeners"], rows)


def caught_up(page: Page) -> None:
    """Everything that was pushed has come, and is drawn."""
    before = -1
    while (now := page.evaluate("watched.messages")) != before:
        before = now
        page.wait_for_timeout(1000)


def kept(session: CDPSession) -> list[Any]:
    for _ in range(2):  # what the first finds to be finalised, the second frees
        session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"] / 1024
    return [used, int(metric(session, "Nodes")), int(metric(session, "JSEventListeners"))]


def metric(session: CDPSession, name: str) -> float:
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in found if each["name"] == name))


def main() -> None:
    headline(f"The page with {ORCHESTRATORS * AGENTS:,} agents on {ORCHESTRATORS} orchestrators")
    for _ in range(repeats()):
        _measure(float(os.environ.get("BENCH_SECONDS", SMOOTH_SECONDS)))


def _measure(seconds: float) -> None:
    with serving(python_peer("ours")) as peer, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        version = re.sub(r"\..*", "", chromium.version)
        print(f"Chromium {version}, headless, without a graphics card\n", flush=True)
        fleet = Fleet(peer.port)
        page = opened(chromium, peer.port)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        measure_opening(page)
        measure_smoothness(page, session, fleet, seconds)
        measure_memory(page, session, fleet)
        chromium.close()


if __name__ == "__main__":
    main()
