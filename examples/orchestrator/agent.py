"""The agent: a process of its own that lives as long as its orchestrator wants it, and says so again and again.

It speaks the lines of ``messages`` over a socket that it finds as its standard input; the orchestrator holds the other
end. When that closes, the orchestrator is gone, however it went, and the agent ends too: nothing is left behind.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict

import psutil

from orchestrator import VERSION
from orchestrator.job import JobRun
from orchestrator.machine import describe_host, process_figures
from orchestrator.messages import (
    MAX_LINE_BYTES,
    BadMessage,
    Beat,
    Cancel,
    Declined,
    Execute,
    ForAgent,
    FromAgent,
    Hello,
    JobEnded,
    Pace,
    Stop,
    Taken,
    UnknownMessage,
    decode_for_agent,
    encode,
)

DEFAULT_INTERVAL_SECONDS = 5.0
"""Pace of the beats until the orchestrator names one."""


class Agent:
    """One agent at its end of the channel."""

    def __init__(
        self, agent_id: str, max_concurrency: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.agent_id = agent_id
        self.max_concurrency = max_concurrency
        self.reader = reader
        self.writer = writer
        self.interval_seconds = DEFAULT_INTERVAL_SECONDS
        self.beat_now = asyncio.Event()
        self.process = psutil.Process()
        self.jobs: dict[str, tuple[JobRun, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Beat, and do jobs, until the orchestrator says stop or is gone. Jobs that still run are killed then."""
        beating = asyncio.create_task(self._beat_for_ever())
        listening = asyncio.create_task(self._listen())
        both = {beating, listening}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            done = {task for task in both if task.done()}
            others = [*(both - done), *(task for _, task in self.jobs.values())]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        for task in done:
            # A channel that broke while writing is the same news as one that ended while reading.
            with suppress(ConnectionError):
                task.result()

    async def _beat_for_ever(self) -> None:
        await self._say(self._hello())
        while True:
            await self._say(self._beat())
            self.beat_now.clear()
            # Not wait_for(): before Python 3.12 it may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(self.interval_seconds):
                    await self.beat_now.wait()

    async def _listen(self) -> None:
        while line := await self.reader.readline():
            try:
                message = decode_for_agent(line)
            except UnknownMessage as unknown:
                await self._say(Declined(unknown.name, "this agent does not know messages of this type"))
                continue
            except BadMessage as bad:
                await self._say(Declined("", str(bad)))
                continue
            if isinstance(message, Stop):
                return
            await self._obey(message)

    async def _obey(self, message: ForAgent) -> None:
        match message:
            case Pace(interval_seconds):
                self.interval_seconds = max(0.01, interval_seconds)
                self.beat_now.set()
            case Execute() if message.job in self.jobs or len(self.jobs) >= self.max_concurrency:
                await self._say(JobEnded(message.job, "FAILED", "the agent has no room for it", time.time()))
            case Execute():
                job = JobRun(message, self._say)
                task = asyncio.create_task(self._do(job), name=message.job)
                self.jobs[message.job] = job, task
            case Cancel() if message.job in self.jobs:
                self.jobs[message.job][0].cancel(message.force, message.grace_seconds)
            case Taken() if message.job in self.jobs:
                self.jobs[message.job][0].taken()
            case _:
                pass  # about a job that has ended meanwhile

    async def _do(self, job: JobRun) -> None:
        self.beat_now.set()
        try:
            await job.run()
        except OSError as error:
            # Also a channel that broke; then nobody hears this, and the agent is about to end.
            with suppress(ConnectionError):
                await self._say(
                    JobEnded(job.order.job, "FAILED", f"the agent can't run it: {error}", time.time())
                )
        finally:
            del self.jobs[job.order.job]
            self.beat_now.set()

    async def _say(self, message: FromAgent) -> None:
        self.writer.write(encode(message))
        await self.writer.drain()

    def _hello(self) -> Hello:
        host = asdict(describe_host())
        return Hello(self.agent_id, os.getpid(), VERSION, **host, max_concurrency=self.max_concurrency)

    def _beat(self) -> Beat:
        figures = process_figures(self.process)
        return Beat(figures.memory_used_mb, figures.uptime_seconds, active_jobs=len(self.jobs), paused=False)


async def open_channel() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Take the socket that the orchestrator left as descriptor 0, and leave /dev/null there instead.

    So no child of this process can read what is meant for the agent, and a stray ``print`` never reaches the channel.
    Raises OSError when descriptor 0 is no socket.
    """
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return await asyncio.open_unix_connection(sock=channel, limit=MAX_LINE_BYTES)


async def _serve(agent_id: str, max_concurrency: int) -> None:
    reader, writer = await open_channel()
    running = asyncio.create_task(Agent(agent_id, max_concurrency, reader, writer).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def main(arguments: list[str] | None = None) -> int:
    """Run one agent until its orchestrator ends it or goes away. Answers the exit code."""
    parser = argparse.ArgumentParser(
        description="An agent. It is started by local_orchestrator.py, not by hand."
    )
    parser.add_argument("--agent-id", required=True)
    parser.add_argument("--max-concurrency", type=int, default=1, help="jobs it may run at once")
    options = parser.parse_args(arguments)
    # Ctrl-C goes to everybody in the terminal; whether an agent ends is for its orchestrator to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_serve(options.agent_id, options.max_concurrency))
    except OSError as error:
        print(
            f"agent {options.agent_id}: standard input is not the channel of an orchestrator: {error}",
            file=sys.stderr,
        )
        return 2
    return 0
