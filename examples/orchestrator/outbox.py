"""What the server has to be told of runs, in order, until it has confirmed it: reports, log lines, answers to commands.

It survives broken connections and restarts of the server. When it is full, those who fill it are told to wait.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from orchestrator.client import Refused
from orchestrator.reports import Input

log = logging.getLogger(__name__)

ROOM_BYTES: Final = 16 * 1024 * 1024
ROOM_ENTRIES: Final = 5000
"""Where it counts as full. Reports of what runs already are taken all the same; lines and new jobs have to wait."""

MESSAGE_BYTES: Final = 110_000
MESSAGE_LINES: Final = 10_000
MESSAGE_PARTS: Final = 100
"""Most in one message, because of the server's limits."""

_LINE_BYTES: Final = 60
"""What a line costs in memory besides its characters."""


class Receiver(Protocol):
    """What the outbox needs of a link to the server."""

    async def report_runs(self, values: Input) -> None: ...
    async def report_logs(self, values: Input) -> None: ...
    async def complete_command(self, values: Input) -> None: ...


@dataclass(slots=True)
class RunNews:
    """A RunReportInput; ``on_sent`` is called when the server has it."""

    values: Input
    size: int
    on_sent: Callable[[], None] | None = None


@dataclass(slots=True)
class LogNews:
    """A LogPartInput; ``wire`` is its length as JSON."""

    values: Input
    size: int
    wire: int


@dataclass(slots=True)
class AnswerNews:
    """An OrchestratorCompleteCommandInput without its connection."""

    values: Input
    size: int


News = RunNews | LogNews | AnswerNews


class Outbox:
    """First in, first out. ``on_room`` is called when it is no longer full."""

    def __init__(self, on_room: Callable[[], None] = lambda: None) -> None:
        self.on_room = on_room
        self._news: deque[News] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> list[News]:
        """What the server was not told yet, in order."""
        return list(self._news)

    @property
    def is_full(self) -> bool:
        return self._size > ROOM_BYTES or len(self._news) > ROOM_ENTRIES

    def report(self, values: Input, on_sent: Callable[[], None] | None = None) -> None:
        self._put(RunNews(values, len(json.dumps(values)), on_sent))

    def lines(self, run_id: str, job_id: str, step: int, first_line: int, lines: list[str]) -> None:
        part = {"runId": run_id, "jobId": job_id, "step": step, "firstLine": first_line, "lines": lines}
        size = sum(len(line) + _LINE_BYTES for line in lines) + 500
        self._put(LogNews(part, size, len(json.dumps(part))))

    def answer(self, command_id: str, succeeded: bool, message: str | None, result: Input) -> None:
        values = {"commandId": command_id, "succeeded": succeeded, "message": message, "result": result}
        self._put(AnswerNews(values, len(json.dumps(values))))

    def remind(self, reports: list[Input]) -> None:
        """Tell these before everything else: the server has forgotten what it was told."""
        for values in reversed(reports):
            self._news.appendleft(news := RunNews(values, len(json.dumps(values))))
            self._size += news.size
        self._filled.set()

    async def deliver(self, link: Receiver, connection_id: str) -> None:
        """Send for ever. Raises LinkDown, TokenRefused, or Refused when nothing can be told over this connection."""
        while True:
            while not self._news:
                self._empty.set()
                self._filled.clear()
                await self._filled.wait()
            batch = self._batch()
            try:
                await self._send(link, connection_id, batch)
            except Refused as refused:
                if refused.retryable or refused.code in {"UNKNOWN_CONNECTION", "FORBIDDEN"}:
                    raise
                await self._send_singly(link, connection_id, batch)
            self._drop(batch)

    async def emptied(self) -> None:
        """Return when everything has been sent."""
        await self._empty.wait()

    def _put(self, news: News) -> None:
        self._news.append(news)
        self._size += news.size
        self._empty.clear()
        self._filled.set()

    def _drop(self, batch: list[News]) -> None:
        was_full = self.is_full
        for news in batch:
            self._news.popleft()
            self._size -= news.size
            if isinstance(news, RunNews) and news.on_sent is not None:
                news.on_sent()
        if was_full and not self.is_full:
            self.on_room()

    def _batch(self) -> list[News]:
        """The first entries that go into one message."""
        first = self._news[0]
        if isinstance(first, LogNews):
            return self._log_batch()
        if isinstance(first, RunNews):
            return self._run_batch()
        return [first]

    def _run_batch(self) -> list[News]:
        batch: list[News] = []
        runs: set[str] = set()
        room = MESSAGE_BYTES
        for news in self._news:
            room -= news.size
            # A run may be in a message once.
            if not isinstance(news, RunNews) or news.values["runId"] in runs or len(batch) == MESSAGE_PARTS:
                break
            if room < 0 and batch:
                break
            runs.add(news.values["runId"])
            batch.append(news)
        return batch

    def _log_batch(self) -> list[News]:
        batch: list[News] = []
        room, lines = MESSAGE_BYTES, MESSAGE_LINES
        for news in self._news:
            if not isinstance(news, LogNews) or len(batch) == MESSAGE_PARTS:
                break
            room, lines = room - news.wire, lines - len(news.values["lines"])
            if (room < 0 or lines < 0) and batch:
                break
            batch.append(news)
        return batch

    async def _send_singly(self, link: Receiver, connection_id: str, batch: list[News]) -> None:
        """The server won't have something in the batch: find out what, and go on without it."""
        for news in batch:
            try:
                await self._send(link, connection_id, [news])
            except Refused as refused:
                if refused.retryable or refused.code in {"UNKNOWN_CONNECTION", "FORBIDDEN"}:
                    raise
                log.error("the server won't have %s: %s", _name(news), refused)

    async def _send(self, link: Receiver, connection_id: str, batch: list[News]) -> None:
        values = [news.values for news in batch]
        match batch[0]:
            case RunNews():
                await link.report_runs({"connectionId": connection_id, "runs": values})
            case LogNews():
                await link.report_logs({"connectionId": connection_id, "parts": joined(values)})
            case AnswerNews():
                await link.complete_command({"connectionId": connection_id, **values[0]})


def joined(parts: list[Input]) -> list[Input]:
    """The same lines in as few parts as possible."""
    found: list[Input] = []
    for part in parts:
        last = found[-1] if found else None
        if last is not None and _place(last, len(last["lines"])) == _place(part, 0):
            last["lines"].extend(part["lines"])
        else:
            found.append({**part, "lines": list(part["lines"])})
    return found


def _place(part: Input, behind: int) -> tuple[str, str, int, int]:
    return part["runId"], part["jobId"], part["step"], part["firstLine"] + behind


def _name(news: News) -> str:
    match news:
        case RunNews():
            return f"the report of run {news.values['runId']}"
        case LogNews():
            return f"lines of run {news.values['runId']}"
        case AnswerNews():
            return f"the answer to command {news.values['commandId']}"
