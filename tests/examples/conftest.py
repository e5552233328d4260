import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.examples.scripted_server import ScriptedServer

EXAMPLES = Path(__file__).parents[2] / "examples"

MODULES = Path(__file__).parents[1] / "e2e" / "node_modules"

PATIENCE_SECONDS = 50.0  # for a machine that does much else: nobody waits longer than it takes

Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def examples() -> Path:
    """The folder of the example programs."""
    return EXAMPLES


@pytest.fixture
def eventually() -> Eventually:
    """Wait until the condition holds; fail when it doesn't within PATIENCE_SECONDS."""

    async def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it didn't happen in time"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server that listens."""
    scripted = ScriptedServer()
    await scripted.start()
    yield scripted
    await scripted.close()


@pytest.fixture
def node_script(tmp_path: Path) -> Path:
    """The example where Node finds its packages, as after `npm install` beside it."""
    if shutil.which("node") is None or not (MODULES / "graphql-ws").is_dir():
        pytest.skip("needs Node and `make node-deps`")
    (tmp_path / "node_modules").symlink_to(MODULES)
    return Path(shutil.copy(EXAMPLES / "watch_fleet.mjs", tmp_path))
