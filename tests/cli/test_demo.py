"""`kici-gql demo`, as whoever runs it meets it."""

import asyncio
import re
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
import pytest_asyncio

from kici_gql.cli.demo_fleet import DemoError, DemoFolder, examples_folder
from tests.examples.conftest import Eventually
from tests.examples.program import Program, lives, running

LINK = re.compile(r"http://127\.0\.0\.1:\d+/\S+")
TREE = "{ org { clusters { nodes { name agents { nodes { agentId liveness { state } memoryUsedMb } } } } } }"


def demo(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[Program]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "kici_gql",
        "demo",
        "--data-dir",
        folder,
        "--agents",
        "2",
        *arguments,
    ]
    return running(*command, env=env or {})


def link_of(program: Program) -> str:
    (link,) = [found for line in program.lines for found in LINK.findall(line)]
    return str(link)


def family_of(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.process.pid).children(recursive=True)


class Browser:
    """Follows the link and keeps the cookie."""

    def __init__(self, link: str) -> None:
        self.answer = httpx.get(link, verify=False)
        self._server = link.split("/sign-in", maxsplit=1)[0]

    def ask(self, query: str) -> Any:
        """The org's part of the answer."""
        answer = httpx.post(
            f"{self._server}/graphql",
            json={"query": query},
            headers={"x-kici-csrf": "1"},
            cookies=self.answer.cookies,
            verify=False,
        ).json()
        return answer["data"]["org"]

    def agents(self) -> list[str]:
        """The liveness of every agent."""
        clusters = self.ask(TREE)["clusters"]["nodes"]
        return [agent["liveness"]["state"] for cluster in clusters for agent in cluster["agents"]["nodes"]]

    def scopes(self) -> list[str]:
        """The secret scopes of every healthy backend."""
        backends = self.ask("{ org { secretBackends { health scopes } } }")["secretBackends"]
        return [scope for each in backends if each["health"] == "HEALTHY" for scope in each["scopes"]]


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_one_link_opens_a_live_fleet_and_ctrl_c_ends_it_all(
    number: signal.Signals, tmp_path: Path, eventually: Eventually
) -> None:
    async with demo(tmp_path, "--port", "0") as program:
        await eventually(lambda: any(LINK.search(line) for line in program.lines))
        browser = Browser(link_of(program))
        assert browser.answer.status_code == 303
        assert "HttpOnly" in browser.answer.headers["set-cookie"]
        await eventually(lambda: browser.agents() == ["ONLINE", "ONLINE"])
        await eventually(lambda: browser.scopes() == ["deploy", "review"])
        assert Browser(link_of(program)).answer.status_code == 410
        family = family_of(program)
        assert len(family) == 3  # the orchestrator and two agents
        program.process.send_signal(number)
        assert await program.ended() == 0
    assert not any(lives(child) for child in family)
    assert program.lines[-1] == "The demo has ended."
    assert not program.saw("Traceback")
    assert not (tmp_path / "env.sh").exists()


@pytest.mark.e2e
async def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path, eventually: Eventually) -> None:
    async with demo(tmp_path, "--port", "0") as program:
        await eventually(lambda: len(family_of(program)) == 3)
        family = family_of(program)
        program.process.kill()
        await eventually(lambda: not any(lives(child) for child in family))


class Shared(NamedTuple):
    """A demo that met everything that could go against it, and runs."""

    program: Program
    folder: Path
    taken: int
    """The port that it was asked to take, and couldn't."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    folder = tmp_path_factory.mktemp("demo")
    env = {
        "KICI_GQL_HOST": "0.0.0.0",
        "KICI_GQL_WORKERS": "2",
        "KICI_GQL_DATABASE_URL": "postgresql+asyncpg://nowhere/x",
    }
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        async with demo(folder, "--port", str(taken), env=env) as program:
            async with asyncio.timeout(60):
                while len(family_of(program)) < 3:  # noqa: ASYNC110 - it is other processes that are waited for
                    await asyncio.sleep(0.05)
            yield Shared(program, folder, taken)


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_the_terminal_gets_what_it_needs_for_the_examples(shared: Shared) -> None:
    file = shared.folder / "env.sh"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    script = f". {file}; command -v kici-gql; command -v python; env"
    async with running("sh", "-c", script, env={}) as shell:
        assert await shell.ended() == 0
    own = Path(sys.executable).parent
    assert shell.lines[:2] == [str(own / "kici-gql"), str(own / "python")]
    exports = dict(line.split("=", 1) for line in shell.lines if line.startswith("KICI_GQL"))
    watch = [sys.executable, "-m", "kici_gql", "watch", "--once"]
    async with running(*watch, env=exports | {"COLUMNS": "200"}) as tree:
        assert await tree.ended() == 0
    assert tree.saw("org default")


@pytest.mark.e2e
def test_a_port_in_use_is_no_obstacle(shared: Shared) -> None:
    assert f":{shared.taken}/" not in link_of(shared.program)
    assert shared.program.saw(f"Port {shared.taken} is in use")


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_in_use_is_an_obstacle(shared: Shared) -> None:
    async with demo(shared.folder, "--port", "0") as second:
        assert await second.ended() == 1
    assert second.saw("another demo runs with")


@pytest.mark.e2e
def test_settings_from_the_environment_do_not_open_it_to_the_network(shared: Shared) -> None:
    listening = [
        each.laddr.ip
        for each in psutil.Process(shared.program.process.pid).net_connections()
        if each.status == "LISTEN"
    ]
    assert listening == ["127.0.0.1"]


def test_the_folder_is_emptied_of_a_demo_and_of_nothing_else(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    folder.orchestrator.mkdir()
    names = folder.orchestrator / "orchestrator.json"
    ours = [folder.database, tmp_path / "demo.db-wal", names]
    for file in [*ours, tmp_path / "letter.txt"]:
        file.write_text("x")
    with folder.claimed(keep=True):
        assert all(file.exists() for file in ours)
    with folder.claimed(keep=False):
        assert not any(file.exists() for file in ours)
        assert (tmp_path / "letter.txt").exists()
        with pytest.raises(DemoError, match="another demo"), DemoFolder(tmp_path).claimed(keep=False):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DemoError, match="file/below"),
        DemoFolder(tmp_path / "file" / "below").claimed(keep=False),
    ):
        pass


def test_the_examples_are_found() -> None:
    assert (examples_folder() / "local_orchestrator.py").is_file()
