"""One real agent process, seen from the orchestrator's end of its channel."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from orchestrator.agent_process import AgentProcess, describe_exit
from orchestrator.messages import Beat, Declined, Hello, Pace, Stop, decode_from_agent, encode


@asynccontextmanager
async def raw_agent(
    program: Path, agent_id: str = "a-1"
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]]:
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program / "local_agent.py"), f"--agent-id={agent_id}", stdin=theirs.fileno()
    )
    theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        yield process, reader, writer
    finally:
        writer.close()
        await asyncio.wait_for(process.wait(), 60)


async def test_it_introduces_itself_and_beats_with_its_own_figures(examples: Path) -> None:
    async with raw_agent(examples) as (process, reader, writer):
        writer.write(encode(Pace(0.05)))
        hello = decode_from_agent(await reader.readline())
        assert isinstance(hello, Hello)
        assert (hello.agent_id, hello.pid) == ("a-1", process.pid)
        for _ in range(3):
            beat = decode_from_agent(await reader.readline())
            assert isinstance(beat, Beat)
            resident_mb = psutil.Process(process.pid).memory_info().rss / 2**20
            assert beat.memory_used_mb == pytest.approx(resident_mb, rel=0.3)


async def test_it_ends_when_told_to(examples: Path) -> None:
    async with raw_agent(examples) as (process, _, writer):
        writer.write(encode(Stop("enough")))
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_it_ends_when_its_orchestrator_is_gone(examples: Path) -> None:
    async with raw_agent(examples) as (process, reader, writer):
        await reader.readline()
        writer.close()
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_it_ends_on_sigterm_and_ignores_ctrl_c(examples: Path) -> None:
    async with raw_agent(examples) as (process, reader, writer):
        await reader.readline()
        writer.write(encode(Pace(0.05)))
        process.send_signal(signal.SIGINT)
        for _ in range(3):
            assert isinstance(decode_from_agent(await reader.readline()), Beat)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_it_declines_what_it_does_not_know_and_lives_on(examples: Path) -> None:
    async with raw_agent(examples) as (_, reader, writer):
        writer.write(b'{"type": "dance"}\nnonsense\n' + encode(Pace(0.05)))
        heard = [decode_from_agent(await reader.readline()) for _ in range(6)]
        declined = [message for message in heard if isinstance(message, Declined)]
        assert [message.message_type for message in declined] == ["dance", ""]
        assert isinstance(decode_from_agent(await reader.readline()), Beat)


async def test_by_hand_it_says_what_is_wrong(examples: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(examples / "local_agent.py"), "--agent-id=a",
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"not the channel of an orchestrator" in complaint
    assert b"Traceback" not in complaint


async def test_it_does_not_inherit_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KICI_GQL_TOKEN", "kgq_secret")
    agent = AgentProcess("a-1", 1, lambda: None)
    await agent.start()
    assert agent.pid is not None
    assert "KICI_GQL_TOKEN" not in psutil.Process(agent.pid).environ()
    assert "kgq_secret" not in str(psutil.Process(agent.pid).cmdline())
    await agent.end(grace_seconds=5)


async def test_a_process_that_cannot_say_hello_is_still_ended() -> None:
    agent = AgentProcess("a-1", 1, lambda: None)
    await agent.start()
    assert agent.pid is not None
    os.kill(agent.pid, signal.SIGSTOP)
    await agent.end(grace_seconds=0.1)
    assert agent.exit_status == -signal.SIGKILL
    await agent.say(Stop("nobody hears this"))
    agent.kill()


def test_an_end_is_told_in_words() -> None:
    assert describe_exit(0) == "ended with exit status 0"
    assert describe_exit(-9) == "was ended by SIGKILL"
    assert describe_exit(-63) == "was ended by signal 63"
