"""The command line of the orchestrator, as a user meets it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.program import EXIT_UNUSABLE, agent_ids
from orchestrator.state import StateDirectory


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
