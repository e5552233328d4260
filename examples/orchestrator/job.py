"""One job in its agent: a shell process for each step, in a process group of its own, and what they print."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from orchestrator.lines import BATCH_LINES, LineCutter, batches
from orchestrator.messages import Execute, FromAgent, JobEnded, Lines, StepEnded, StepStarted

GATHER_SECONDS: Final = 0.1
"""How long printed lines wait for others before they are told."""

LINGER_SECONDS: Final = 1.0
"""How long the output may stay open, and silent, when a step's process has ended."""

MOST_UNTAKEN: Final = 16
"""Messages of lines that may be on their way to the orchestrator; then the step has to wait."""

_READ_BYTES: Final = 65_536


class JobRun:
    """A job from its ``execute`` to its end. ``say`` sends a message to the orchestrator."""

    def __init__(self, order: Execute, say: Callable[[FromAgent], Awaitable[None]]) -> None:
        self.order = order
        self.say = say
        self.cancelled = False
        self._process: asyncio.subprocess.Process | None = None
        self._room = asyncio.Semaphore(MOST_UNTAKEN)
        self._killing: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Run the steps one after the other until one fails. When this is cancelled, nothing more is said."""
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="kici-job-")
        status, message = "SUCCESS", ""
        try:
            for number, step in enumerate(self.order.steps):
                status, message = await self._step(number, step, folder)
                if status != "SUCCESS":
                    break
        finally:
            self._signal(signal.SIGKILL)
            if self._killing is not None:
                self._killing.cancel()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await self.say(JobEnded(self.order.job, status, message, time.time()))

    def cancel(self, force: bool, grace_seconds: float) -> None:
        """End the running step: ask its processes and kill them after the grace period, or at once. No other step begins."""
        self.cancelled = True
        if force:
            self._signal(signal.SIGKILL)
            return
        self._signal(signal.SIGTERM)
        if self._killing is None:
            loop = asyncio.get_running_loop()
            self._killing = loop.call_later(grace_seconds, self._signal, signal.SIGKILL)

    def taken(self) -> None:
        """The orchestrator has dealt with one message of lines."""
        self._room.release()

    async def _step(self, number: int, step: dict[str, str], folder: str) -> tuple[str, str]:
        """Run one step. Answers its StepStatus and why it failed."""
        if self.cancelled:
            return "CANCELLED", "cancelled before its next step"
        reading, writing = os.pipe()
        try:
            process = self._process = await self._spawn(step["run"], writing, folder)
        except (OSError, ValueError) as error:
            os.close(reading)
            message = f"it can't be started: {error}"
            await self.say(StepEnded(self.order.job, number, "FAILED", 126, message, time.time()))
            return "FAILED", self._blame(number, step, message)
        finally:
            os.close(writing)
        await self.say(StepStarted(self.order.job, number, process.pid, time.time()))
        if self.cancelled:
            self._signal(signal.SIGKILL)  # it was cancelled while it was being started
        await self._pass_on_output(number, reading, process)
        ended_at = time.time()
        status, code, message = self._verdict(process.returncode or 0)
        self._process = None
        await self.say(StepEnded(self.order.job, number, status, code, message, ended_at))
        return status, self._blame(number, step, message)

    async def _spawn(self, script: str, output: int, folder: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-e",
            "-c",
            script,
            stdin=asyncio.subprocess.DEVNULL,
            # One pipe for both, so that their lines stay in the order they were printed in.
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, **self.order.environment, "CI": "true"},
            start_new_session=True,
        )

    async def _pass_on_output(
        self, number: int, descriptor: int, process: asyncio.subprocess.Process
    ) -> None:
        """Tell the lines until the process has ended and its output is at its end."""
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        ending = asyncio.create_task(self._bury(process))
        try:
            await _Telling(self, number).tell(reader, ending)
            await ending
        finally:
            transport.close()
            ending.cancel()

    async def _bury(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        _kill_group(process.pid, signal.SIGKILL)  # what it left behind, and what would keep the output open

    async def tell_lines(self, number: int, first_line: int, lines: list[str]) -> None:
        await self._room.acquire()
        await self.say(Lines(self.order.job, number, first_line, lines))

    def _signal(self, number: signal.Signals) -> None:
        # Only while it lives: afterwards its number may be another one's.
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid, number)

    def _verdict(self, returncode: int) -> tuple[str, int, str]:
        """Status, exit code as a shell would say it, and message of a step whose process ended so."""
        code = returncode if returncode >= 0 else 128 - returncode
        if self.cancelled:
            return "CANCELLED", code, "cancelled"
        if returncode == 0:
            return "SUCCESS", 0, ""
        if returncode > 0:
            return "FAILED", code, f"exit status {code}"
        return "FAILED", code, f"ended by {signal.Signals(-returncode).name}"

    def _blame(self, number: int, step: dict[str, str], message: str) -> str:
        return f"step {number + 1} ({step['name']}): {message}" if message else ""


class _Telling:
    """What a step prints, on its way out: lines are gathered for a moment and numbered."""

    def __init__(self, job: JobRun, step: int) -> None:
        self.job = job
        self.step = step
        self.told = 0
        self.waiting: list[str] = []

    async def tell(self, reader: asyncio.StreamReader, ending: asyncio.Task[None]) -> None:
        cutter = LineCutter()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(due if self.waiting else loop.time() + LINGER_SECONDS):
                    data = await reader.read(_READ_BYTES)
            except TimeoutError:
                if not self.waiting and ending.done():
                    break  # somebody who left the process group holds the output open
                await self._flush()
                continue
            if not data:
                break
            if not self.waiting:
                due = loop.time() + GATHER_SECONDS
            self.waiting += cutter.feed(data)
            if len(self.waiting) >= BATCH_LINES or loop.time() >= due:
                await self._flush()
        self.waiting += cutter.end()
        await self._flush()

    async def _flush(self) -> None:
        for batch in batches(self.waiting):
            await self.job.tell_lines(self.step, self.told, batch)
            self.told += len(batch)
        self.waiting = []


def _kill_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
