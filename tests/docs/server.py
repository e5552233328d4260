"""A real server in a process of its own, on an empty database, for whatever is written about it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ADMIN = "kgq_docs-admin-0123456789abcdef"
_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Running:
    """Where it listens, and the environment in which commands find it and its database."""

    url: str
    env: dict[str, str]

    def run(self, *command: str) -> str:
        """What a command of ours prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "kici_gql", *command],
            env=self.env,
            text=True,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return done.stdout


def clean_environment() -> dict[str, str]:
    """The environment without settings of ours, and with the programs of this virtual environment in front."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
    return env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(folder: Path) -> Iterator[Running]:
    """Serve from the folder; `Running.env` holds the admin's token as KICI_GQL_TOKEN."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = clean_environment() | {"KICI_GQL_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/kici_gql.db"}
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kici_gql", "serve", "--port", str(port)],
            env=env | {"KICI_GQL_BOOTSTRAP_TOKEN": ADMIN},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        _wait_until_ready(url, process, log)
        yield Running(url, env | {"KICI_GQL_URL": url, "KICI_GQL_TOKEN": ADMIN})
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
