"""A thousand agents on fifty orchestrators: opens at once, stays smooth."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import FakeOrchestrator, agent

ORCHESTRATORS = 50
AGENTS = 20
WATCHED_SECONDS = 4
LONG_TASK_MS = 100
"""What the page may take at a time. Tasks are counted from the first frame on, the whole snapshot included."""

WATCH = """window.longest = 0; new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: 'longtask', buffered: true })"""


@contextmanager
def beating(fleet: list[FakeOrchestrator]) -> Iterator[None]:
    """Everybody beats, one after the other, as fast as the server takes it."""
    over = threading.Event()

    def beat() -> None:
        memory = 1000
        while not over.is_set():
            memory += 7
            for each in fleet:
                each.beat(memory)
                if over.wait(0.02):
                    return

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_thousand_agents(visit: Visit, org: Org) -> None:
    token = org.token("ORCHESTRATOR")
    fleet = [
        FakeOrchestrator(org.server.url, token, "north", f"orchestrator-{n}") for n in range(ORCHESTRATORS)
    ]
    org.orchestrators += fleet
    for number, each in enumerate(fleet):
        each.connect([agent(f"agent-{number}-{n}") for n in range(AGENTS)])
    page = visit("/sign-in")
    page.add_init_script(WATCH)
    page.goto(f"{org.path}/diagnostics")
    expect(page.locator(".row.agent").first).to_be_visible()
    expect(page.locator(".card", has_text="Agents").first).to_contain_text("1000")
    with beating(fleet):
        page.wait_for_timeout(1000 * WATCHED_SECONDS / 2)
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(1000 * WATCHED_SECONDS / 2)
    rows = page.locator(".tree-body .row").count()
    assert rows < 100, "rows far from the window must not exist"
    longest = page.evaluate("window.longest")
    assert longest < LONG_TASK_MS
    page.keyboard.press("/")
    page.keyboard.type("agent-49-19")
    expect(page.locator(".row.agent")).to_have_count(1)
