"""`kici-gql serve` in processes of their own, forked from one that has imported everything.

To import it takes a second of CPU, and the tests start some thirty servers.
"""

import multiprocessing
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import Any

import httpx

from kici_gql.cli import main

_READY_SECONDS = 120.0
_STOP_SECONDS = 20.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["kici_gql.app", "kici_gql.cli.server"])

_CREATE_TOKEN = """mutation ($input: TokenCreateInput!) { tokenCreate(input: $input) {
    ... on TokenCreateSuccess { secret token { id } } ... on Error { message } } }"""


class Server:
    """One on a port that keeps when it is started again; each of `settings` is a variable KICI_GQL_…."""

    def __init__(self, admin: str, **settings: str) -> None:
        self.port = free_port()
        self.admin = admin
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")
        }
        settings = {"port": str(self.port), **settings}
        self._environment |= {f"KICI_GQL_{name.upper()}": value for name, value in settings.items()}
        self._process: ForkServerProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        pid = self._started.pid
        assert pid is not None
        return pid

    @property
    def _started(self) -> ForkServerProcess:
        assert self._process is not None, "it was never started"
        return self._process

    def start(self) -> None:
        """Answers when it is ready."""
        streams = [_Inherited(number) for number in range(3)]
        self._process = _FORKS.Process(target=_serve, args=(self._environment, streams))
        self._process.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self._ready():
            assert self._process.is_alive(), "the server ended"
            assert time.monotonic() < deadline, "the server isn't ready"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it the hard way."""
        self._started.kill()
        self._started.join()

    def terminate(self) -> None:
        """Ask it to end."""
        self._started.terminate()

    def wait(self, seconds: float) -> int:
        """Answers how it ended: its exit code, or the number of the signal, negative."""
        self._started.join(seconds)
        code = self._started.exitcode
        if code is None:
            raise TimeoutError("the server still runs")
        return code

    def stop(self) -> None:
        """End it in good order, if it still runs."""
        if self._process is not None and self._process.is_alive():
            self.terminate()
            try:
                self.wait(_STOP_SECONDS)
            except TimeoutError:
                self.kill()
                raise

    def execute(self, document: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The data of one operation, by the admin unless told otherwise."""
        answer = self.answer(document, token, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def answer(self, document: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The answer to one operation, with its errors."""
        answer: dict[str, Any] = httpx.post(
            f"{self.url}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {token or self.admin}"},
            timeout=60,
            verify=False,  # there is no TLS here, and to read all certificates takes 30 ms
        ).json()
        return answer

    def token(self, scope: str) -> tuple[str, str]:
        """A new token: its id and its secret."""
        name = f"{scope.lower()}-{secrets.token_hex(4)}"
        created = self.execute(_CREATE_TOKEN, input={"name": name, "scope": scope})["tokenCreate"]
        return created["token"]["id"], created["secret"]

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1, verify=False).status_code == 200
        except httpx.TransportError:
            return False


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class _Inherited:
    """A descriptor that the child has under the same number: pytest may have put a file of the test's own there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Any, int]]:
        return _inherit, (DupFd(self._number), self._number)


def _inherit(there: Any, number: int) -> None:
    os.dup2(there.detach(), number)


def _serve(environment: Mapping[str, str], _streams: object) -> None:
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kici-gql", "serve"]
    main()
