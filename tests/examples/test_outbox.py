import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from orchestrator import outbox as module
from orchestrator.client import LinkDown, Refused
from orchestrator.outbox import Outbox, joined


class Server:
    """Takes what comes; ``faults`` are raised first, one for each call."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls: list[tuple[str, Any]] = []
        self.bad_runs: set[str] = set()

    async def report_runs(self, values: dict[str, Any]) -> None:
        self._fail()
        if self.bad_runs & {run["runId"] for run in values["runs"]}:
            raise Refused("INVALID_INPUT", "no")
        self.calls.append(("runs", [(run["runId"], run["status"]) for run in values["runs"]]))

    async def report_logs(self, values: dict[str, Any]) -> None:
        self._fail()
        self.calls.append(("logs", [(part["firstLine"], part["lines"]) for part in values["parts"]]))

    async def complete_command(self, values: dict[str, Any]) -> None:
        self._fail()
        self.calls.append(("answer", (values["commandId"], values["connectionId"])))

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@asynccontextmanager
async def delivering(outbox: Outbox, server: Server) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.deliver(server, "c-1"))
    try:
        yield
        await asyncio.wait_for(outbox.emptied(), 60)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def run(run_id: str, status: str) -> dict[str, Any]:
    return {"runId": run_id, "status": status}


async def test_things_are_told_in_the_order_they_happened() -> None:
    outbox, server = Outbox(), Server()
    outbox.report(run("a", "PENDING"))
    outbox.report(run("b", "PENDING"))
    outbox.report(run("a", "RUNNING"))
    outbox.lines("a", "build", 0, 0, ["one", "two"])
    outbox.lines("a", "build", 0, 2, ["three"])
    outbox.lines("a", "build", 1, 0, ["x"])
    outbox.report(run("a", "SUCCESS"))
    outbox.answer("cmd", True, None, {})
    async with delivering(outbox, server):
        pass
    assert server.calls == [
        ("runs", [("a", "PENDING"), ("b", "PENDING")]),
        ("runs", [("a", "RUNNING")]),
        ("logs", [(0, ["one", "two", "three"]), (0, ["x"])]),
        ("runs", [("a", "SUCCESS")]),
        ("answer", ("cmd", "c-1")),
    ]


async def test_what_was_not_confirmed_is_sent_again() -> None:
    outbox, server = Outbox(), Server(LinkDown("gone"), Refused("UNKNOWN_CONNECTION", "who?"))
    told: list[str] = []
    outbox.report(run("a", "PENDING"), lambda: told.append("a"))
    with pytest.raises(LinkDown):
        await outbox.deliver(server, "c-1")
    with pytest.raises(Refused):
        await outbox.deliver(server, "c-1")
    assert told == []
    outbox.remind([run("z", "RUNNING")])
    async with delivering(outbox, server):
        pass
    assert server.calls == [("runs", [("z", "RUNNING"), ("a", "PENDING")])]
    assert told == ["a"]


async def test_one_thing_that_the_server_will_not_have_does_not_hold_up_the_others() -> None:
    outbox, server = Outbox(), Server()
    server.bad_runs = {"b"}
    for name in "abc":
        outbox.report(run(name, "PENDING"))
    async with delivering(outbox, server):
        pass
    assert [entry for _, call in server.calls for entry in call] == [("a", "PENDING"), ("c", "PENDING")]


async def test_it_says_when_it_is_full_and_when_it_has_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM_BYTES", 10_000)
    room: list[bool] = []
    outbox = Outbox(lambda: room.append(True))
    for number in range(4):
        assert not outbox.is_full
        outbox.lines("a", "build", 0, number, ["x" * 2000])
    assert outbox.is_full
    async with delivering(outbox, Server()):
        pass
    assert not outbox.is_full
    assert room == [True]


async def test_no_message_is_too_large_for_the_server() -> None:
    outbox, server = Outbox(), Server()
    for number in range(300):
        outbox.lines("a", "build", 0, number * 200, ["x" * 100] * 200)
    async with delivering(outbox, server):
        pass
    sizes = [sum(len(lines) for _, lines in parts) for _, parts in server.calls]
    assert sum(sizes) == 60_000
    assert max(sizes) * 104 <= module.MESSAGE_BYTES
    assert all(len(parts) == 1 for _, parts in server.calls)


def test_parts_with_a_hole_between_them_stay_apart() -> None:
    def part(first: int, count: int) -> dict[str, Any]:
        return {"runId": "a", "jobId": "b", "step": 0, "firstLine": first, "lines": ["x"] * count}

    assert joined([part(0, 2), part(2, 1), part(4, 1)]) == [part(0, 3), part(4, 1)]
