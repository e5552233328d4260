"""A KV store, version 2, as OpenBao and Vault serve it: the few answers that reading names needs, and no more.

It tells values to whoever asks for them, so that a test can see that nobody did.
"""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Secrets = Mapping[str, Mapping[str, str]]
"""By path the secret's keys and values."""


class KvStore:
    """Serves the secrets at `url` under the mount `secret` for whoever has the token. `asked` lists what was read."""

    def __init__(self, secrets: Secrets, token: str) -> None:
        self.secrets = dict(secrets)
        self.token = token
        self.asked: list[str] = []
        self.status: int | None = None  # what every request is answered with, when that is set
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, token: str | None) -> tuple[int, Any]:
        """Status and body of an answer."""
        parts = urlsplit(target)
        self.asked.append(parts.path)
        if self.status is not None:
            return self.status, {"errors": ["as told"]}
        if token != self.token:
            return 403, {"errors": [f"permission denied for {token}"]}
        kind, _, path = parts.path.removeprefix("/v1/secret/").partition("/")
        listing = method == "LIST" or parse_qs(parts.query).get("list") == ["true"]
        found = self._found(kind, path, listing)
        return (404, {"errors": []}) if found is None else (200, {"data": found})

    def _found(self, kind: str, path: str, listing: bool) -> Any:
        if kind == "metadata" and listing:
            prefix = f"{path}/" if path and not path.endswith("/") else path
            keys = {key for each in self.secrets if (key := _next_key(each, prefix))}
            return {"keys": sorted(keys)} if keys else None
        secret = self.secrets.get(path)
        if secret is None:
            return None
        if kind == "subkeys":
            return {"subkeys": dict.fromkeys(secret), "metadata": {}}
        return {"data": dict(secret), "metadata": {}} if kind == "data" else None


def _next_key(path: str, prefix: str) -> str | None:
    """What is listed of a path directly below the prefix; a folder ends with a slash."""
    if not path.startswith(prefix):
        return None
    name, slash, _ = path.removeprefix(prefix).partition("/")
    return name + slash


def _handler_of(store: KvStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            status, body = store.answer(self.command, self.path, self.headers.get("X-Vault-Token"))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_LIST = _serve  # noqa: N815 - as the base class wants them

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing on the screen."""

    return Handler
