"""The Node client, with the packages that the interop tests installed."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.examples.scripted_server import ScriptedServer
from tests.examples.test_watch_fleet import agent, alert, changed, events, snapshot


@asynccontextmanager
async def node(
    node_script: Path, server: ScriptedServer, token: str = "kgq_x"
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {"KICI_GQL_TOKEN": token, "KICI_GQL_URL": server.url}
    process = await asyncio.create_subprocess_exec(
        "node",
        str(node_script),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_tells_every_change_and_resumes_behind_the_last_frame(
    node_script: Path, server: ScriptedServer
) -> None:
    server.root = "infrastructure"
    server.streams = [
        [snapshot(agent("a")), events(changed(agent("a", "LATE"))), 1012],
        [
            events(
                {"__typename": "AgentRemoved", "id": "A:a"},
                {"__typename": "AlertChanged", "alert": alert()},
                cursor="3",
                previous="2",
            )
        ],
    ]
    async with node(node_script, server) as process:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode().strip() for _ in range(4)]
    assert lines == [
        "03:04:05 lab: agent a is ONLINE (because)",
        "03:04:05 lab: agent a is LATE (because)",
        "03:04:05 agent a was removed",
        "03:04:05 alert OPEN: WARNING a is lost",
    ]
    assert [call["after"] for call in server.subscriptions] == [None, "2"]
    assert server.init_payloads == [{"authorization": "Bearer kgq_x"}] * 2


@pytest.mark.parametrize("code", [4403, 4410])
async def test_a_refused_token_ends_it(code: int, node_script: Path, server: ScriptedServer) -> None:
    server.init_close_code = code
    async with node(node_script, server) as process:
        _, complaint = await process.communicate()
        assert process.returncode == 1
        assert b"Forbidden" in complaint


async def test_a_wrong_operation_ends_it(node_script: Path, server: ScriptedServer) -> None:
    server.streams = [["error"]]
    async with node(node_script, server) as process:
        _, complaint = await process.communicate()
        assert process.returncode == 1
        assert b"no such field" in complaint
