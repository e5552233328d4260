"""Jobs in a real agent process, seen from the orchestrator's end of its channel."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import psutil

from orchestrator.job import MOST_UNTAKEN
from orchestrator.messages import (
    MAX_LINE_BYTES,
    Cancel,
    Execute,
    ForAgent,
    FromAgent,
    JobEnded,
    Lines,
    Pace,
    StepEnded,
    StepStarted,
    Taken,
    decode_from_agent,
    encode,
)
from tests.examples.conftest import EXAMPLES, Eventually
from tests.examples.program import lives


class Peer:
    """The orchestrator's end. Lines are acknowledged unless ``generous`` is False."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        self.reader = reader
        self.writer = writer
        self.pid = pid
        self.generous = True
        self.heard: list[FromAgent] = []
        self.at: dict[str, float] = {}

    def say(self, message: ForAgent) -> None:
        self.writer.write(encode(message))

    def execute(self, *scripts: str, job: str = "j", **environment: str) -> None:
        self.say(Execute(job, [{"name": each[:20], "run": each} for each in scripts], environment))

    async def listen(self) -> None:
        while line := await self.reader.readline():
            message = decode_from_agent(line)
            self.heard.append(message)
            if isinstance(message, Lines) and self.generous:
                self.say(Taken(message.job))

    def lines(self, step: int = 0) -> list[str]:
        found: list[str] = []
        for message in self.heard:
            if isinstance(message, Lines) and message.step == step:
                assert message.first_line == len(found)
                found += message.lines
        return found

    def end(self, job: str = "j") -> JobEnded | None:
        return next((each for each in self.heard if isinstance(each, JobEnded) and each.job == job), None)

    def steps(self) -> list[tuple[str, int, str]]:
        return [
            (each.status, each.exit_code, each.message) for each in self.heard if isinstance(each, StepEnded)
        ]

    def process(self) -> psutil.Process:
        return psutil.Process(next(each.pid for each in self.heard if isinstance(each, StepStarted)))


@asynccontextmanager
async def agent(concurrency: int = 1) -> AsyncIterator[Peer]:
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / "local_agent.py"), "--agent-id=a",
        f"--max-concurrency={concurrency}", stdin=theirs.fileno(),
    )  # fmt: skip
    theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE_BYTES)
    peer = Peer(reader, writer, process.pid)
    listening = asyncio.create_task(peer.listen())
    try:
        peer.say(Pace(0.2))
        yield peer
    finally:
        writer.close()
        await asyncio.wait_for(process.wait(), 60)
        listening.cancel()


def exists(path: str) -> bool:
    return os.path.lexists(path)


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(lives(each) for each in processes)


async def test_steps_run_one_after_the_other_and_print(eventually: Eventually) -> None:
    async with agent() as peer:
        peer.execute('echo "$WORD $PWD"; echo err >&2; printf last', "echo two", WORD="hello")
        await eventually(peer.end)
        assert peer.steps() == [("SUCCESS", 0, ""), ("SUCCESS", 0, "")]
        first, *rest = peer.lines()
        assert first.startswith("hello /")
        assert rest == ["err", "last"]
        assert peer.lines(1) == ["two"]
        folder = first.removeprefix("hello ")
        assert peer.end() is not None
        assert not exists(folder)


async def test_a_step_that_fails_ends_the_job_with_its_exit_code(eventually: Eventually) -> None:
    async with agent() as peer:
        peer.execute("echo before", "false; echo never", "echo never")
        await eventually(peer.end)
        end = peer.end()
        assert end is not None
        assert (end.status, end.message) == ("FAILED", "step 2 (false; echo never): exit status 1")
        assert peer.lines(1) == peer.lines(2) == []
        peer.execute("kill -SEGV $$", job="k")
        await eventually(lambda: peer.end("k"))
        assert peer.steps()[-1] == ("FAILED", 139, "ended by SIGSEGV")
        peer.execute("echo", job="l", BAD="nul\0byte")
        await eventually(lambda: peer.end("l"))
        assert peer.steps()[-1][:2] == ("FAILED", 126)


async def test_cancelling_lets_a_step_tidy_up_and_begins_no_other(eventually: Eventually) -> None:
    async with agent() as peer:
        peer.execute("trap 'echo tidy; exit 7' TERM; echo ready; while :; do sleep 0.1; done", "echo never")
        await eventually(peer.lines)
        peer.say(Cancel("j", force=False, grace_seconds=20))
        await eventually(peer.end)
        end = peer.end()
        assert end is not None
        assert end.status == "CANCELLED"
        assert peer.steps() == [("CANCELLED", 7, "cancelled")]
        assert peer.lines()[-1] == "tidy"


async def test_who_does_not_end_is_killed_after_the_grace_or_at_once(eventually: Eventually) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    async with agent(concurrency=2) as peer:
        for job, force, grace in (("soft", False, 0.7), ("hard", True, 60.0)):
            peer.heard.clear()
            peer.execute(stubborn, job=job)
            await eventually(peer.lines)
            family = [peer.process(), *peer.process().children()]
            began = time.monotonic()
            peer.say(Cancel(job, force, grace))
            await eventually(partial(peer.end, job))
            taken = time.monotonic() - began
            assert (taken >= 0.7) is not force
            assert peer.steps() == [("CANCELLED", 137, "cancelled")]
            assert not any(lives(each) for each in family)


async def test_nothing_that_a_step_started_outlives_it(eventually: Eventually) -> None:
    async with agent() as peer:
        peer.execute("sleep 60 & echo $!", "echo next")
        await eventually(peer.end)
        pid = int(peer.lines()[0])
        assert not psutil.pid_exists(pid) or not lives(psutil.Process(pid))
        assert peer.lines(1) == ["next"]


async def test_jobs_die_with_the_orchestrator_and_with_their_agent(eventually: Eventually) -> None:
    for number in (None, signal.SIGTERM):
        async with agent() as peer:
            peer.execute("echo ready; sleep 60")
            await eventually(peer.lines)
            family = [peer.process(), *peer.process().children()]
            if number is None:
                peer.writer.close()
            else:
                psutil.Process(peer.pid).send_signal(number)
            await eventually(partial(all_gone, family))


async def test_an_agent_has_room_for_so_many_jobs_and_says_how_many_it_has(eventually: Eventually) -> None:
    async with agent() as peer:
        peer.execute("sleep 60", job="one")
        await eventually(lambda: any(getattr(each, "active_jobs", 0) == 1 for each in peer.heard))
        peer.execute("true", job="two")
        await eventually(lambda: peer.end("two"))
        end = peer.end("two")
        assert end is not None
        assert (end.status, end.message) == ("FAILED", "the agent has no room for it")


async def test_output_that_nobody_takes_makes_the_step_wait_and_nothing_is_lost(
    eventually: Eventually,
) -> None:
    async with agent() as peer:
        peer.generous = False
        peer.execute("seq 1 200000")
        await eventually(lambda: sum(isinstance(each, Lines) for each in peer.heard) == MOST_UNTAKEN)
        await asyncio.sleep(0.5)
        assert sum(isinstance(each, Lines) for each in peer.heard) == MOST_UNTAKEN
        assert psutil.Process(peer.pid).memory_info().rss < 100 * 2**20
        peer.generous = True
        for _ in range(MOST_UNTAKEN):
            peer.say(Taken("j"))
        await eventually(peer.end)
        assert peer.lines() == [str(number) for number in range(1, 200_001)]
