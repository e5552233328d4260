"""Where an orchestrator's secrets are: names come out, values never."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator import secrets
from orchestrator.secrets import BackendError, Directory, Vault, Watched, vault_from_environment
from tests.examples.kv_store import KvStore

CANARY = "correct-horse-battery-staple"
STORED = {
    "deploy": {"SSH_KEY": CANARY, "API": CANARY},
    "team/web/tls": {"cert": CANARY, "key": CANARY},
    "team/db": {"password": CANARY},
}
NAMES = {"deploy": ["API", "SSH_KEY"], "team/db": ["password"], "team/web/tls": ["cert", "key"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("deploy/SSH_KEY", "deploy/API", "deploy/.hidden", "empty/.git/x", ".trash/OLD"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CANARY)
    (tmp_path / "a-file-beside").write_text(CANARY)
    return tmp_path


def test_a_directory_tells_folders_and_files(folder: Path) -> None:
    assert Directory("files", folder).scopes() == {"deploy": ["API", "SSH_KEY"], "empty": []}
    Directory("files", folder).ping()


def test_no_file_of_a_directory_is_opened(folder: Path) -> None:
    opened: list[str] = []

    def note(event: str, arguments: Any) -> None:
        if event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(note)
    Directory("files", folder).scopes()
    assert [name for name in opened if name.startswith(str(folder))] == []
    (folder / "deploy" / "API").read_text()
    assert opened[-1] == str(folder / "deploy" / "API"), "the hook sees what is opened"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    gone = Directory("files", tmp_path / "gone")
    for look in (gone.scopes, gone.ping):
        with pytest.raises(BackendError, match=r"gone: .*[Nn]o such"):
            look()


def test_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "MOST_SCOPES", 1)
    monkeypatch.setattr(secrets, "MOST_NAMES", 1)
    assert Directory("files", folder).scopes() == {"deploy": ["API"]}


def test_what_is_known_stays_while_a_backend_is_away(folder: Path) -> None:
    watched = Watched(Directory("files", folder))
    assert (watched.last_sync_at, watched.error, watched.found) == (None, None, {})
    assert watched.sync() is None
    first, found = watched.last_sync_at, watched.found
    folder.rename(folder.parent / "moved")
    error = watched.sync()
    assert error is not None
    assert (watched.error, watched.last_sync_at, watched.found) == (error, first, found)
    assert watched.test()[1] is not None
    (folder.parent / "moved").rename(folder)
    assert (watched.sync(), watched.error) == (None, None)
    milliseconds, nothing = watched.test()
    assert nothing is None
    assert milliseconds >= 0


# ── A vault ──


@pytest.fixture
def store() -> Iterator[KvStore]:
    pytest.importorskip("hvac")
    served = KvStore(STORED, "hvs.root")
    yield served
    served.close()


def vault(store: KvStore, **more: Any) -> Vault:
    return Vault(**{"name": "vault", "address": store.url, "token": store.token, **more})


def test_a_vault_tells_paths_and_keys_and_is_never_asked_for_a_value(store: KvStore) -> None:
    assert vault(store).scopes() == NAMES
    vault(store).ping()
    assert {path.split("/")[3] for path in store.asked} == {"metadata", "subkeys"}


def test_only_what_is_below_the_prefix(store: KvStore) -> None:
    assert vault(store, prefix="team/").scopes() == {
        name: NAMES[name] for name in ("team/db", "team/web/tls")
    }
    assert vault(store, prefix="nothing/").scopes() == {}


def test_a_token_that_is_refused_is_not_repeated(store: KvStore) -> None:
    refused = vault(store, token="hvs.wrong-0123456789")
    for look in (refused.scopes, refused.ping):
        with pytest.raises(BackendError) as raised:
            look()
        assert str(raised.value) == f"{store.url}: Forbidden"
        assert raised.value.__cause__ is None, "what the library said may hold the token"
    assert "hvs.wrong" not in repr(refused)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_vault_that_is_ill(store: KvStore, status: int) -> None:
    store.status = status
    with pytest.raises(BackendError, match=store.url):
        vault(store).scopes()


def test_a_vault_that_is_not_there() -> None:
    pytest.importorskip("hvac")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(BackendError, match=f"{address}: ConnectionError"):
        Vault("vault", address, "hvs.x").ping()


def test_bounds_of_a_vault(store: KvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "MOST_SCOPES", 2)
    monkeypatch.setattr(secrets, "MOST_NAMES", 1)
    assert vault(store).scopes() == {"deploy": ["API"], "team/db": ["password"]}


def test_without_hvac_the_backend_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvac", None)
    with pytest.raises(BackendError, match="hvac is not installed"):
        Vault("vault", "http://127.0.0.1:1", "hvs.x").ping()


def test_the_environment_names_the_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert vault_from_environment() is None
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:8200")
    monkeypatch.setenv("VAULT_TOKEN", "hvs.x")
    assert vault_from_environment() == Vault("vault", "http://127.0.0.1:8200", "hvs.x")


# ── A real one, where there is one ──

PROGRAM = shutil.which("bao") or shutil.which("vault")


@pytest.fixture
def dev_server() -> Iterator[str]:
    """Address of a real server in development mode; its token is `root`."""
    if PROGRAM is None:
        pytest.skip("neither OpenBao (bao) nor Vault (vault) is installed: the real server was not tested")
    pytest.importorskip("hvac")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [PROGRAM, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address={address}"]
    environment = {**os.environ, "HOME": "/nonexistent"}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            _wait_until_it_answers(f"http://{address}/v1/sys/health")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.1)


def test_a_real_server(dev_server: str) -> None:
    for path, secret in STORED.items():
        answer = httpx.post(
            f"{dev_server}/v1/secret/data/{path}", headers={"X-Vault-Token": "root"}, json={"data": secret}
        )
        assert answer.status_code == 200, answer.text
    assert Vault("vault", dev_server, "root").scopes() == NAMES
    with pytest.raises(BackendError, match="Forbidden"):
        Vault("vault", dev_server, "hvs.wrong").ping()
