"""Real servers in processes of their own, and a client that speaks plain HTTP to them."""

import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import httpx

READY_SECONDS = 120.0
CREATE = """mutation ($input: TokenCreateInput!) { tokenCreate(input: $input) {
    ... on TokenCreateSuccess { secret token { id } } ... on Error { message } } }"""


class ServerProcess:
    """`kici-gql serve` on a port that stays the same when it is started again."""

    def __init__(self, database_url: str, admin: str, **settings: str) -> None:
        self.port = _free_port()
        self.admin = admin
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")
        }
        self._environment |= {
            "KICI_GQL_PORT": str(self.port),
            "KICI_GQL_DATABASE_URL": database_url,
            "KICI_GQL_LOG_LEVEL": "warning",
        }
        self._environment |= {f"KICI_GQL_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def relay(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "kici_gql", "serve"], env=self._environment)
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server isn't ready"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it the hard way."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        """End it in good order, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.terminate()
            try:
                self.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def execute(self, document: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The data of one operation."""
        answer = self.answer(document, token, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def answer(self, document: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The answer to one operation, with its errors."""
        answer: dict[str, Any] = httpx.post(
            f"{self.http}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {token or self.admin}"},
            timeout=30,
            verify=False,  # there is no TLS here, and to read all certificates takes 30 ms
        ).json()
        return answer

    def token(self, scope: str) -> tuple[str, str]:
        """A new token: its id and its secret."""
        created = self.execute(CREATE, input={"name": scope.lower(), "scope": scope})["tokenCreate"]
        return created["token"]["id"], created["secret"]

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.http}/readyz", timeout=1, verify=False).status_code == 200
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
