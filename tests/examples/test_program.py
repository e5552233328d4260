"""The command line of the orchestrator, as a user meets it."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from orchestrator.program import EXIT_UNUSABLE, agent_ids
from orchestrator.state import StateDirectory
from tests.examples.conftest import Eventually
from tests.examples.scripted_server import ScriptedServer


def lives(process: psutil.Process) -> bool:
    try:
        # In a container nobody may collect the exit status of an orphan.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def run(examples: Path, arguments: Sequence[str], token: str | None = None) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
    if token is not None:
        environment["KICI_GQL_TOKEN"] = token
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(examples / "local_orchestrator.py"), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return process.returncode, output.decode()


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
    arguments: list[str], token: str | None, complaint: str, examples: Path, tmp_path: Path
) -> None:
    status, output = await run(examples, ["--state-dir", str(tmp_path), *arguments], token)
    assert status == EXIT_UNUSABLE
    assert complaint in output
    assert "Traceback" not in output


async def test_a_second_one_in_the_same_directory_is_refused(examples: Path, tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.lock()
    status, output = await run(examples, ["--state-dir", str(tmp_path)], "kgq_x")
    state.release()
    assert status == EXIT_UNUSABLE
    assert "another orchestrator" in output
    assert "Traceback" not in output


def test_agent_ids_are_told_apart_by_their_orchestrator() -> None:
    assert agent_ids("0f8fad5b-d9cb-469f-a165-70867728950e", 2) == ["0f8fad5b-agent-1", "0f8fad5b-agent-2"]
    assert agent_ids("north", 1) == ["north-agent-1"]


async def test_it_stops_with_the_program_that_started_it(
    examples: Path, tmp_path: Path, server: ScriptedServer, eventually: Eventually
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(examples / "local_orchestrator.py"), "--until-eof", "--agents", "1",
        "--url", server.url, "--state-dir", str(tmp_path),
        stdin=asyncio.subprocess.PIPE, env=os.environ | {"KICI_GQL_TOKEN": "kgq_x"},
    )  # fmt: skip
    await eventually(lambda: server.sent("Heartbeat"))
    agents = psutil.Process(process.pid).children(recursive=True)
    assert len(agents) == 1
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert server.sent("Disconnect")[0]["reason"] == "stopped with the program that started it"
    assert not any(lives(agent) for agent in agents)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_however_it_ends_its_agents_end_too(
    number: signal.Signals, examples: Path, tmp_path: Path, server: ScriptedServer, eventually: Eventually
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(examples / "local_orchestrator.py"), "--agents", "2",
        "--url", server.url, "--state-dir", str(tmp_path), env=os.environ | {"KICI_GQL_TOKEN": "kgq_x"},
    )  # fmt: skip
    await eventually(lambda: server.sent("Heartbeat"))
    agents = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    status = await asyncio.wait_for(process.wait(), 10)
    assert status == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    await eventually(lambda: not any(lives(agent) for agent in agents))
    said = [call["reason"] for call in server.sent("Disconnect")]
    assert said == ([] if number is signal.SIGKILL else [f"stopped by {number.name}"])
