import asyncio
import json
import logging
import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import ServerProcess
from tests.world import secret_of

HERE = Path(__file__).parent

Serve = Callable[..., Awaitable[ServerProcess]]


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Start a server process on a prepared database."""
    servers: list[ServerProcess] = []

    async def start(database_url: str, **settings: str) -> ServerProcess:
        server = ServerProcess(database_url, secret_of("ADMIN"), **settings)
        servers.append(server)
        await asyncio.to_thread(server.start)
        return server

    yield start
    for server in servers:
        await asyncio.to_thread(server.stop)


@pytest.fixture
def rng() -> random.Random:
    """Chance, and the same chance again in a run with the SEED that pytest shows where a test fails."""
    seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
    logging.getLogger(__name__).warning("SEED=%d", seed)
    return random.Random(seed)


class NodeFollower:
    """`follow.mjs` in a process of its own; each line it prints is a frame."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            yield json.loads(line)


@pytest.fixture
async def follow_with_node() -> AsyncIterator[Callable[..., Awaitable[AsyncIterator[dict[str, Any]]]]]:
    """Follow a subscription with the npm package graphql-ws."""
    program = shutil.which("node")
    if program is None or not (HERE / "node_modules" / "graphql-ws").is_dir():
        pytest.skip("needs Node and `make node-deps`")
    processes: list[asyncio.subprocess.Process] = []

    async def follow(url: str, token: str, document: str) -> AsyncIterator[dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            program,
            str(HERE / "follow.mjs"),
            url,
            token,
            document,
            stdout=asyncio.subprocess.PIPE,
            limit=32 * 1024 * 1024,
        )
        processes.append(process)
        return NodeFollower(process).frames()

    yield follow
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
