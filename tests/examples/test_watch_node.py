"""The Node client, with the packages that the interop tests installed."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.examples.scripted_server import ScriptedServer
from tests.examples.test_watch_fleet import agent, changed, events, snapshot

MODULES = Path(__file__).parents[1] / "e2e" / "node_modules"


@pytest.fixture
def script(tmp_path: Path, examples: Path) -> Path:
    """The example where Node finds its packages, as after `npm install` beside it."""
    if shutil.which("node") is None or not (MODULES / "graphql-ws").is_dir():
        pytest.skip("needs Node and `make node-deps`")
    (tmp_path / "node_modules").symlink_to(MODULES)
    return Path(shutil.copy(examples / "watch_fleet.mjs", tmp_path))


@asynccontextmanager
async def node(
    script: Path, server: ScriptedServer, token: str = "kgq_x"
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {"KICI_GQL_TOKEN": token, "KICI_GQL_URL": server.url}
    process = await asyncio.create_subprocess_exec(
        "node", str(script), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_tells_every_change_and_resumes_behind_the_last_frame(
    script: Path, server: ScriptedServer
) -> None:
    server.root = "infrastructure"
    server.streams = [
        [snapshot(agent("a")), events(changed(agent("a", "LATE"))), 1012],
        [events({"__typename": "AgentRemoved", "id": "A:a"}, cursor="3", previous="2")],
    ]
    async with node(script, server) as process:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
    assert lines == [
        "03:04:05 lab: agent a is ONLINE (because)",
        "03:04:05 lab: agent a is LATE (because)",
        "03:04:05 agent a was removed",
    ]
    assert [call["after"] for call in server.subscriptions] == [None, "2"]
    assert server.init_payloads == [{"authorization": "Bearer kgq_x"}] * 2


@pytest.mark.parametrize("code", [4403, 4410])
async def test_a_refused_token_ends_it(code: int, script: Path, server: ScriptedServer) -> None:
    server.init_close_code = code
    async with node(script, server) as process:
        _, complaint = await process.communicate()
        assert process.returncode == 1
        assert b"Forbidden" in complaint


async def test_a_wrong_operation_ends_it(script: Path, server: ScriptedServer) -> None:
    server.streams = [["error"]]
    async with node(script, server) as process:
        _, complaint = await process.communicate()
        assert process.returncode == 1
        assert b"no such field" in complaint
