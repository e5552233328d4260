"""The examples against a real server: real processes, real sockets, a real database."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.examples.conftest import EXAMPLES, Eventually
from tests.examples.live_server import LiveServer
from tests.examples.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ORCHESTRATOR = EXAMPLES / "local_orchestrator.py"
WATCH = EXAMPLES / "watch_fleet.py"


def started(server: LiveServer, token: str, *command: str | Path) -> AbstractAsyncContextManager[Program]:
    return running(*command, env={"KICI_GQL_URL": server.url, "KICI_GQL_TOKEN": token})


def python(script: Path, *arguments: str) -> list[str | Path]:
    return [sys.executable, script, *arguments]


def orchestrator(cluster: str, folder: Path, *more: str) -> list[str | Path]:
    state = str(folder / cluster)
    return python(ORCHESTRATOR, "--cluster", cluster, "--instance-id", cluster, "--state-dir", state, *more)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server for the tests that don't harm it; each uses a cluster of its own."""
    server = LiveServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LiveServer]:
    """A server to be killed."""
    server = LiveServer(
        tmp_path, lost_after_seconds="20"
    )  # far beyond what a busy machine may add to the outage
    server.start()
    yield server
    server.stop()


async def test_the_tree_shows_this_machine(
    shared: LiveServer, tmp_path: Path, eventually: Eventually
) -> None:
    _, token = shared.token("ORCHESTRATOR")
    async with started(shared, token, *orchestrator("tree", tmp_path, "--agents", "2")) as program:
        await eventually(lambda: shared.states("tree") == {"ONLINE"})
        agents = shared.agents("tree")
        assert set(agents) == {"tree-agent-1", "tree-agent-2"}
        agent = agents["tree-agent-1"]
        assert agent["hostname"] == os.uname().nodename
        assert agent["runningAs"] == psutil.Process().username()
        assert agent["platform"] == sys.platform
        assert agent["memoryUsedMb"] > 0
        assert agent["scaler"] == {"name": "bare-metal", "type": "BARE_METAL"}
        assert agent["orchestrator"]["displayId"] == "tree"
        assert {"name": "kici:agent:bare-metal", "kind": "AUTO"} in agent["labels"]
        program.process.terminate()
        assert await program.ended() == 0
    assert shared.states("tree") == {"OFFLINE"}


@pytest.mark.slow
async def test_a_killed_agent_is_late_then_lost_then_back(
    shared: LiveServer, tmp_path: Path, eventually: Eventually
) -> None:
    _, token = shared.token("ORCHESTRATOR")
    _, viewer = shared.token("VIEWER")
    command = orchestrator("kill", tmp_path, "--agents", "2", "--restart-after", "6")
    async with started(shared, token, *command) as program:
        await eventually(lambda: shared.states("kill") == {"ONLINE"})
        async with started(shared, viewer, *python(WATCH, "--cluster", "kill")) as watch:
            await eventually(lambda: watch.saw("kill-agent-2", "ONLINE"))
            (victim,) = [
                child
                for child in psutil.Process(program.process.pid).children()
                if "--agent-id=kill-agent-2" in child.cmdline()
            ]
            victim.kill()
            for state in ("LATE", "LOST"):
                await eventually(partial(watch.saw, "kill-agent-2", state))
            seen = len(watch.lines)
            await eventually(
                lambda: any("kill-agent-2" in line and "ONLINE" in line for line in watch.lines[seen:])
            )
            # The same subscription tells the alert from its beginning to its end.
            for state in ("OPEN", "RESOLVED"):
                await eventually(partial(watch.saw, f"alert {state}: WARNING Agent kill-agent-2", "is lost"))
            assert sum("the whole fleet" in line for line in watch.lines) == 1
            assert not watch.saw("kill-agent-1", "LOST")


async def test_everybody_survives_a_server_that_is_killed(
    own: LiveServer, tmp_path: Path, eventually: Eventually
) -> None:
    _, token = own.token("ORCHESTRATOR")
    _, viewer = own.token("VIEWER")
    async with (
        started(own, token, *orchestrator("north", tmp_path, "--agents", "1")) as program,
        started(own, viewer, *python(WATCH)) as watch,
    ):
        await eventually(lambda: own.states("north") == {"ONLINE"} and watch.saw("north-agent-1", "ONLINE"))
        before = own.agents("north")["north-agent-1"]
        own.kill()
        await eventually(lambda: watch.saw("lost the connection") and program.saw("out of reach"))
        own.start()
        await eventually(lambda: program.saw("server is back"))
        own_uptime = before["uptimeSeconds"]
        await eventually(lambda: own.agents("north")["north-agent-1"]["uptimeSeconds"] > own_uptime)
        after = own.agents("north")["north-agent-1"]
        assert after["orchestrator"] == before["orchestrator"]
        program.process.send_signal(signal.SIGINT)
        await eventually(lambda: watch.saw("north-agent-1", "OFFLINE"))
        assert not watch.saw("LOST")
        assert sum("the whole fleet" in line for line in watch.lines) == 1


async def test_a_refused_token_ends_it_with_a_clear_word(shared: LiveServer, tmp_path: Path) -> None:
    async with started(shared, "kgq_nonsense", *orchestrator("bad", tmp_path)) as program:
        assert await program.ended() == 3
    assert program.saw("does not accept the token")
    assert not program.saw("Traceback")


async def test_a_token_of_the_wrong_scope_ends_it(shared: LiveServer, tmp_path: Path) -> None:
    _, viewer = shared.token("VIEWER")
    async with started(shared, viewer, *orchestrator("viewer", tmp_path)) as program:
        assert await program.ended() == 3
    assert program.saw("refuses this orchestrator")


async def test_a_revoked_token_ends_it(shared: LiveServer, tmp_path: Path, eventually: Eventually) -> None:
    token_id, token = shared.token("ORCHESTRATOR")
    async with started(shared, token, *orchestrator("revoked", tmp_path, "--agents", "1")) as program:
        await eventually(lambda: shared.states("revoked") == {"ONLINE"})
        shared.revoke(token_id)
        assert await program.ended() == 3
    assert program.saw("does not accept the token")


async def test_a_bad_cluster_name_ends_it_with_the_reason(shared: LiveServer, tmp_path: Path) -> None:
    _, token = shared.token("ORCHESTRATOR")
    async with started(shared, token, *orchestrator("Not_A_Name", tmp_path)) as program:
        assert await program.ended() == 3
    assert program.saw("refuses this orchestrator")


async def test_curl_gets_frames_and_resumes_with_a_cursor(
    shared: LiveServer, tmp_path: Path, eventually: Eventually
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    _, token = shared.token("ORCHESTRATOR")
    _, viewer = shared.token("VIEWER")
    script = EXAMPLES / "watch_sse.sh"
    async with started(shared, token, *orchestrator("sse", tmp_path, "--agents", "1")):
        async with started(shared, viewer, script) as watch:
            await eventually(lambda: watch.saw("data:", '"SNAPSHOT"'))
            await eventually(lambda: watch.saw("data:", "sse-agent-1", '"AgentHeartbeat"'))
        frames = [
            json.loads(line.removeprefix("data:"))
            for line in watch.lines
            if line.startswith("data:") and "cursor" in line
        ]
        cursor = frames[-1]["data"]["heartbeats"]["cursor"]
        async with started(shared, viewer, script, cursor) as resumed:
            await eventually(lambda: resumed.saw("data:", '"AgentHeartbeat"'))
        assert not resumed.saw('"SNAPSHOT"')


async def test_node_watches_too(
    shared: LiveServer, tmp_path: Path, eventually: Eventually, node_script: Path
) -> None:
    _, token = shared.token("ORCHESTRATOR")
    _, viewer = shared.token("VIEWER")
    async with (
        started(shared, viewer, "node", node_script) as watch,
        started(shared, token, *orchestrator("node", tmp_path, "--agents", "1")),
    ):
        await eventually(lambda: watch.saw("node-agent-1", "ONLINE"))
