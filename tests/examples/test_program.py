"""The command line of the orchestrator, as a user meets it."""

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator.program import EXIT_UNUSABLE, agent_ids
from orchestrator.state import StateDirectory
from tests.examples.conftest import EXAMPLES, Eventually
from tests.examples.program import lives, running
from tests.examples.scripted_server import ScriptedServer

TOKEN = {"KICI_GQL_TOKEN": "kgq_x"}


def orchestrator(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, EXAMPLES / "local_orchestrator.py", *arguments]


@pytest.mark.parametrize(
    ("arguments", "token", "complaint"),
    [
        ([], None, "KICI_GQL_TOKEN"),
        (["--url", "nonsense"], "kgq_x", "no server address"),
        (["--agents", "0"], "kgq_x", "between 1 and 1000"),
        (["--interval", "0"], "kgq_x", "between 0.05"),
    ],
)
async def test_wrong_use_is_explained(
    arguments: list[str], token: str | None, complaint: str, tmp_path: Path
) -> None:
    environment = {} if token is None else {"KICI_GQL_TOKEN": token}
    async with running(*orchestrator("--state-dir", tmp_path, *arguments), env=environment) as program:
        assert await program.ended() == EXIT_UNUSABLE
    assert program.saw(complaint)
    assert not program.saw("Traceback")


async def test_a_second_one_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.lock()
    async with running(*orchestrator("--state-dir", tmp_path), env=TOKEN) as program:
        assert await program.ended() == EXIT_UNUSABLE
    state.release()
    assert program.saw("another orchestrator")
    assert not program.saw("Traceback")


def test_agent_ids_are_told_apart_by_their_orchestrator() -> None:
    assert agent_ids("0f8fad5b-d9cb-469f-a165-70867728950e", 2) == ["0f8fad5b-agent-1", "0f8fad5b-agent-2"]
    assert agent_ids("north", 1) == ["north-agent-1"]


async def test_it_stops_with_the_program_that_started_it(
    tmp_path: Path, server: ScriptedServer, eventually: Eventually
) -> None:
    command = orchestrator("--until-eof", "--agents", "1", "--url", server.url, "--state-dir", tmp_path)
    async with running(*command, stdin=asyncio.subprocess.PIPE, env=TOKEN) as program:
        await eventually(lambda: server.sent("Heartbeat"))
        agents = psutil.Process(program.process.pid).children(recursive=True)
        assert len(agents) == 1
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert await program.ended() == 0
    assert server.sent("Disconnect")[0]["reason"] == "stopped with the program that started it"
    assert not any(lives(agent) for agent in agents)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_however_it_ends_its_agents_end_too(
    number: signal.Signals, tmp_path: Path, server: ScriptedServer, eventually: Eventually
) -> None:
    command = orchestrator("--agents", "2", "--url", server.url, "--state-dir", tmp_path)
    async with running(*command, env=TOKEN) as program:
        await eventually(lambda: server.sent("Heartbeat"))
        agents = psutil.Process(program.process.pid).children(recursive=True)
        program.process.send_signal(number)
        assert await program.ended() == (-signal.SIGKILL if number is signal.SIGKILL else 0)
        await eventually(lambda: not any(lives(agent) for agent in agents))
    said = [call["reason"] for call in server.sent("Disconnect")]
    assert said == ([] if number is signal.SIGKILL else [f"stopped by {number.name}"])
