"""Where this orchestrator keeps its secrets. Names come from here, values never: nothing in this file reads one.

Two kinds: a directory with a folder for each scope and a file for each secret, and the KV store (version 2) of an
OpenBao or Vault server, through ``hvac``.
"""

import importlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

MOST_SCOPES: Final = 500
MOST_NAMES: Final = 2000
VAULT_SECONDS: Final = 5.0
"""How long the server of a vault may take for an answer."""

Scopes = dict[str, list[str]]
"""The names of the secrets, by the name of their scope."""


class BackendError(Exception):
    """The backend can't be read; the message says why, without any secret."""


class Backend(Protocol):
    """Where secrets are. All methods may take their time: call them in a thread."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...

    def scopes(self) -> Scopes:
        """What there is. Raises BackendError."""

    def ping(self) -> None:
        """Whether it can be reached at all. Raises BackendError."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A folder for each scope, a file for each secret; what starts with a dot is none."""

    type: ClassVar[str] = "files"

    name: str
    path: Path

    def scopes(self) -> Scopes:
        try:
            folders = sorted(each for each in self.path.iterdir() if each.is_dir() and _is_shown(each))
            return {folder.name: _names_in(folder) for folder in folders[:MOST_SCOPES]}
        except OSError as error:
            raise BackendError(f"{self.path}: {error.strerror}") from error

    def ping(self) -> None:
        if not self.path.is_dir():
            raise BackendError(f"{self.path}: no such directory")


@dataclass(frozen=True, slots=True)
class Vault:
    """A KV store, version 2. Each secret in it is a scope, and the keys in the secret are the names of our secrets."""

    type: ClassVar[str] = "vault"

    name: str
    address: str
    token: str = field(repr=False)
    mount: str = "secret"
    prefix: str = ""

    def scopes(self) -> Scopes:
        client = self._client()
        found: Scopes = {}
        for path in self._paths(client, self.prefix):
            if len(found) == MOST_SCOPES:
                break
            # `subkeys` tells what is in a secret without its values.
            subkeys = self._get(client, f"subkeys/{path}") or {}
            found[path] = sorted(subkeys.get("subkeys") or {})[:MOST_NAMES]
        return found

    def ping(self) -> None:
        self._get(self._client(), f"metadata/{self.prefix}", listing=True)

    def _paths(self, client: Any, prefix: str, depth: int = 8) -> Iterator[str]:
        """Every secret below the prefix; folders end with a slash."""
        for key in (self._get(client, f"metadata/{prefix}", listing=True) or {}).get("keys", []):
            if not key.endswith("/"):
                yield prefix + key
            elif depth:
                yield from self._paths(client, prefix + key, depth - 1)

    def _get(self, client: Any, path: str, *, listing: bool = False) -> dict[str, Any] | None:
        """The data of an answer; None where there is nothing. Raises BackendError."""
        url = f"/v1/{self.mount}/{path}"
        try:
            answer = client.adapter.list(url) if listing else client.adapter.get(url)
        except Exception as error:  # noqa: BLE001
            # hvac's errors and those of the library below it have no common base; their texts may quote a request.
            if type(error).__name__ == "InvalidPath":
                return None
            raise BackendError(f"{self.address}: {type(error).__name__}") from None
        data: dict[str, Any] = answer["data"]
        return data

    def _client(self) -> Any:
        try:
            hvac: Any = importlib.import_module("hvac")
        except ImportError:
            raise BackendError("the Python package hvac is not installed") from None
        return hvac.Client(url=self.address, token=self.token, timeout=VAULT_SECONDS)


def vault_from_environment(name: str = "vault", mount: str = "secret", prefix: str = "") -> Vault | None:
    """The vault that VAULT_ADDR and VAULT_TOKEN name, if they do."""
    address = os.environ.get("VAULT_ADDR")
    return Vault(name, address, os.environ.get("VAULT_TOKEN", ""), mount, prefix) if address else None


@dataclass(slots=True)
class Watched:
    """A backend and what is known of it. Not for several threads at once."""

    backend: Backend
    found: Scopes = field(default_factory=dict)
    last_sync_at: float | None = None
    error: str | None = None

    def sync(self) -> str | None:
        """Read it anew. Answers what went wrong."""
        try:
            self.found = self.backend.scopes()
            self.last_sync_at = time.time()
            self.error = None
        except BackendError as error:
            self.error = str(error)
        return self.error

    def test(self) -> tuple[float, str | None]:
        """Try to reach it. Answers how many milliseconds that took, and what went wrong."""
        started = time.monotonic()
        error = None
        try:
            self.backend.ping()
        except BackendError as failure:
            error = str(failure)
        return (time.monotonic() - started) * 1000, error


def _names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.is_file() and _is_shown(each))[:MOST_NAMES]


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")
