"""What `kici-gql demo` runs: the server in this process, an orchestrator with its agents in others."""

import asyncio
import fcntl
import logging.config
import os
import shlex
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager, nullcontext
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from kici_gql.actions import tokens
from kici_gql.app import create_app, prepare
from kici_gql.app.prepare import utc_now
from kici_gql.auth import new_secret
from kici_gql.cli.logs import logging_config
from kici_gql.cli.options import settings_from
from kici_gql.cli.server import server_for
from kici_gql.store import Store, Tx, orgs
from kici_gql.tables import TokenScope

if TYPE_CHECKING:
    from uvicorn import Server

    from kici_gql.settings import Settings

HOST = "127.0.0.1"
BEAT_SECONDS = 2
LATE_AFTER_MISSED_BEATS = 2
LOST_AFTER_SECONDS = 15
REPLACED_AFTER_SECONDS = 25  # an agent, or the orchestrator itself: late enough to be seen as LOST
GOODBYE_SECONDS = 10.0

_log = logging.getLogger(__name__)


class DemoError(Exception):
    """The demo can't run; the message says why."""


class DemoFolder:
    """Where a demo's data are; it belongs to one demo at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def database(self) -> Path:
        return self.path / "demo.db"

    @property
    def orchestrator(self) -> Path:
        """The orchestrator's state directory."""
        return self.path / "orchestrator"

    @property
    def environment(self) -> Path:
        """A file to be sourced by a shell, for those who want to try the examples on the demo."""
        return self.path / "env.sh"

    @contextmanager
    def claimed(self, keep: bool) -> Iterator[None]:
        """Hold the folder, emptied unless it is to be kept. Raises DemoError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / "lock").open("w")
        except OSError as error:
            raise DemoError(f"{self.path} can't be used: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError(f"another demo runs with {self.path}; choose another --data-dir") from None
            if not keep:
                self._empty()
            yield
            self.environment.unlink(missing_ok=True)

    def _empty(self) -> None:
        # By name: the folder is the user's choice, and may hold other things.
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        for name in ("orchestrator.json", "book.json"):
            (self.orchestrator / name).unlink(missing_ok=True)


async def run(folder: DemoFolder, port: int, agents: int) -> None:
    """Run until SIGINT or SIGTERM; nothing is left running afterwards. Raises DemoError."""
    with closing(_listen(port)) as listening:
        taken = listening.getsockname()[1]
        if port not in {0, taken}:
            print(f"Port {port} is in use on {HOST}; the demo takes {taken}.", flush=True)
        url = f"http://{HOST}:{taken}"
        settings = _settings(folder)
        logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
        await prepare(settings)
        admin, worker = await _two_tokens(settings)
        app = create_app(settings)
        server = server_for(app, settings)
        # Signals are ours: the orchestrator says goodbye first, while there is a server to hear it.
        server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
        stopping = _signals()
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="server")
        try:
            await _until_started(server, serving)
            _write_environment(folder, url, admin)
            _welcome(url + app.state.sessions.one_time_link(admin), folder)
            await _first_of(
                stopping.wait(), _keep_orchestrator(folder, url, worker, agents), _end_of(serving)
            )
        finally:
            server.should_exit = True
            await serving
    print("The demo has ended.", flush=True)


def examples_folder() -> Path:
    """Where the example programs are: inside an installed package, or beside it in the source tree."""
    packaged = Path(str(files("kici_gql"))) / "_examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"


def _settings(folder: DemoFolder) -> "Settings":
    return settings_from(
        host=HOST,
        database_url=f"sqlite+aiosqlite:///{folder.database}",
        broadcast_url="memory://",
        workers=1,
        demo=True,
        log_level="warning",
        heartbeat_interval_seconds=BEAT_SECONDS,
        late_after_missed_beats=LATE_AFTER_MISSED_BEATS,
        lost_after_seconds=LOST_AFTER_SECONDS,
    )


def _listen(port: int) -> socket.socket:
    """A socket on the port, or on a free one when it is taken."""
    reason: str | None = None
    for wanted in (port, 0):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, wanted))
        except OSError as error:
            listening.close()
            reason = error.strerror
        else:
            return listening
    raise DemoError(f"no port is to be had on {HOST}: {reason}")


def _signals() -> asyncio.Event:
    """An event that is set by the first signal to stop; a second one ends the program the hard way."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    return stopping


async def _two_tokens(settings: "Settings") -> tuple[str, str]:
    """New secrets for the browser and for the orchestrator."""
    admin, worker = new_secret(), new_secret()

    def work(tx: Tx) -> None:
        tokens.add_token(tx, tx.org_id, tokens.TokenWish("demo browser", TokenScope.ADMIN), admin, None)
        tokens.add_token(
            tx, tx.org_id, tokens.TokenWish("demo orchestrator", TokenScope.ORCHESTRATOR), worker, None
        )

    store = Store(settings, utc_now)
    await store.open()
    try:
        org = await store.read(orgs.org_by_slug, tokens.DEFAULT_ORG)
        assert org is not None  # `prepare` has seen to it
        await store.transaction(org.id, work)
    finally:
        await store.close()
    return admin, worker


async def _until_started(server: "Server", serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            raise DemoError("the server did not start; the lines above say why")
        await asyncio.sleep(0.01)  # uvicorn offers a flag and no event


async def _end_of(serving: asyncio.Task[None]) -> None:
    await asyncio.wait({serving})
    raise DemoError("the server ended")


async def _keep_orchestrator(folder: DemoFolder, url: str, token: str, agents: int) -> None:
    """Run the orchestrator, and run it again when it was killed. Raises DemoError when it ends by itself."""
    while True:
        process = await _start_orchestrator(folder, url, token, agents)
        try:
            status = await process.wait()
        finally:
            # The end of its standard input is its sign to say goodbye; however we end, it sees that.
            if process.stdin is not None:
                process.stdin.close()
            await _see_off(process)
        if status >= 0:
            raise DemoError(f"the orchestrator ended with exit status {status}; the lines above say why")
        _log.warning(
            "the orchestrator was ended by signal %d; another follows in %d s",
            -status,
            REPLACED_AFTER_SECONDS,
        )
        await asyncio.sleep(REPLACED_AFTER_SECONDS)


async def _start_orchestrator(
    folder: DemoFolder, url: str, token: str, agents: int
) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(examples_folder() / "local_orchestrator.py"),
        "--until-eof",
        f"--url={url}",
        "--cluster=demo",
        f"--instance-id={socket.gethostname()}",
        f"--agents={agents}",
        f"--max-agents={agents + 3}",
        f"--restart-after={REPLACED_AFTER_SECONDS}",
        f"--state-dir={folder.orchestrator}",
        f"--workflows={examples_folder() / 'workflows.toml'}",
        f"--settings={examples_folder() / 'settings.toml'}",
        "--log-level=warning",
        stdin=asyncio.subprocess.PIPE,
        env=environment | {"KICI_GQL_TOKEN": token},
        # A session of its own: Ctrl-C in our terminal reaches us alone, and we end things in order.
        start_new_session=True,
    )


async def _see_off(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _write_environment(folder: DemoFolder, url: str, token: str) -> None:
    folder.environment.unlink(missing_ok=True)
    descriptor = os.open(folder.environment, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"export KICI_GQL_URL={url}\nexport KICI_GQL_TOKEN={token}\n")
        # `kici-gql` and a `python` with what the examples need, whatever the shell had before.
        stream.write(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n')


def _welcome(link: str, folder: DemoFolder) -> None:
    print(
        f"\n  A live fleet runs on this machine. Open it, signed in (the link works once):\n\n    {link}\n\n"
        f"  In another terminal, for `kici-gql watch` and the examples:  . {folder.environment}\n"
        "  Ctrl-C ends everything.\n",
        flush=True,
    )


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    """Return, or raise, when the first of them does; the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
