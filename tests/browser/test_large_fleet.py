"""A thousand agents on fifty orchestrators: opens at once, stays smooth."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import FakeOrchestrator, agent

ORCHESTRATORS = 50
AGENTS = 20
WATCHED_SECONDS = 4
LONG_TASK_MS = 100
"""What the page may take at a time, the whole snapshot included: CPU time, which a busy machine does not change."""


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


def longest_task_ms(trace: bytes) -> float:
    """The most CPU time that one task of a page's main thread took."""
    events = orjson.loads(trace)["traceEvents"]
    main = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks: list[float] = [
        each["tdur"] / 1000
        for each in events
        if each["name"].endswith("RunTask") and (each["pid"], each["tid"]) in main and "tdur" in each
    ]
    assert len(tasks) > 100, "the trace has no tasks"
    return max(tasks)


def test_a_thousand_agents(chromium: Browser, visit: Visit, org: Org) -> None:
    token = org.token("ORCHESTRATOR")
    fleet = [
        FakeOrchestrator(org.server.url, token, "north", f"orchestrator-{n}") for n in range(ORCHESTRATORS)
    ]
    org.orchestrators += fleet
    for number, each in enumerate(fleet):
        each.connect([agent(f"agent-{number}-{n}") for n in range(AGENTS)])
    page = visit("/sign-in")
    chromium.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    page.goto(f"{org.path}/diagnostics")
    expect(page.locator(".row.agent").first).to_be_visible()
    expect(page.locator(".card", has_text="Agents").first).to_contain_text("1000")
    with beating(fleet):
        page.wait_for_timeout(1000 * WATCHED_SECONDS / 2)
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(1000 * WATCHED_SECONDS / 2)
    rows = page.locator(".tree-body .row").count()
    assert rows < 100, "rows far from the window must not exist"
    assert longest_task_ms(chromium.stop_tracing()) < LONG_TASK_MS
    page.keyboard.press("/")
    page.keyboard.type("agent-49-19")
    expect(page.locator(".row.agent")).to_have_count(1)
