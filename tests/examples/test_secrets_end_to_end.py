"""Canaries given to an orchestrator's secret backends, looked for in all that was written, printed or answered."""

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.conftest import in_thread
from tests.examples.kv_store import KvStore
from tests.examples.live_server import LiveServer
from tests.examples.members import RENAME, Local, asked, backend_of, cluster_id, connected
from tests.examples.workbench import until as soon
from tests.walk import Walk

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]

until = partial(soon, seconds=60)

TEST = """mutation ($id: ID!) { answer: secretBackendTest(input: {secretBackendId: $id}) { __typename
    ... on SecretBackendTestSuccess { finished ok latencyMs error command { state } } ... on Error { code } } }"""


CANARY = "correct-horse-battery-staple-0451"
SHAPED = "hvs.CAESIcanary0123456789abcdefghij"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[KvStore | None]:
    """A vault with a canary in it and one as its token, if `hvac` is there to read it."""
    if find_spec("hvac") is None:
        yield None
        return
    store = KvStore({"team/db": {"password_of_the_vault": CANARY}}, SHAPED)
    monkeypatch.setenv("VAULT_ADDR", store.url)
    monkeypatch.setenv("VAULT_TOKEN", SHAPED)
    yield store
    store.close()


def test_the_values_of_secrets_are_nowhere(
    tmp_path: Path, empty_url: str, vault: KvStore | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Given to the orchestrator's backends, read, tried, refused; then looked for in all that was written or answered."""
    server = LiveServer(tmp_path, log_level="debug", database_url=empty_url)
    server.start()
    local = Local(server, tmp_path, "prod", "one", "red")
    (local.secrets / "red" / "password_of_the_file").write_text(CANARY)
    answers: list[str] = []
    try:
        local.start()
        until(
            lambda: connected(server) == {"one"} and not asked(server, "prod")[1]
        )  # and has told everything
        until(lambda: "password_of_the_file" in read_all(server))
        local.ask("secretBackendSyncAll", clusterId=cluster_id(server, "prod"))
        kinds = ["files", "vault"] if vault is not None else ["files"]
        for kind in kinds:
            local.ask("secretBackendSync", secretBackendId=backend_of(server, "prod", kind))
            answers.append(str(server.execute(TEST, id=backend_of(server, "prod", kind))))
            assert "'ok': True" in answers[-1]
        if vault is not None:
            assert "password_of_the_vault" in read_all(server)
            vault.token = "another"  # from now on it refuses ours
            answers.append(str(server.execute(TEST, id=backend_of(server, "prod", "vault"))))
            assert "Forbidden" in answers[-1]
        # A user who takes the wrong field for it.
        answers.append(str(server.execute(RENAME, input={"clusterId": CANARY, "name": SHAPED})))
        run_id = local.start_run("build")
        local.ended(run_id)
        answers += [read_all(server), metrics(server)]
        stored = in_thread(all_stored(empty_url))
    finally:
        if local.process is not None and local.process.poll() is None:
            local.kill()
        server.stop()
    places = {
        "stored": stored,
        "written": "".join(text_of(each.read_bytes()) for each in local.folder.rglob("*") if each.is_file()),
        "said": local.said,
        "printed": "".join(capfd.readouterr()),
        "answered": "".join(answers),
    }
    # Names, audit rows, events and lines of logs are there, so values would have been found.
    for name in ("password_of_the_file", "clusterRename", "backend.changed", "surface.changed", "hello"):
        assert name in places["stored"]
    assert "connected to cluster prod" in places["said"]
    assert "password_of_the_file" in places["answered"]
    assert [
        f"{place}: {text[max(0, text.index(canary) - 300) :][:400]!r}"
        for place, text in places.items()
        for canary in (CANARY, SHAPED, "value-red")
        if canary in text
    ] == []


async def all_stored(database_url: str) -> str:
    """All that a database holds: its files as they are while it runs, or every value of every row where it has no files."""
    kind, _, place = database_url.partition("://")
    if kind.startswith("sqlite"):
        files = sorted(Path(place).parent.glob(f"{Path(place).name}*"))
        assert any(each.name.endswith("-wal") for each in files)
        return "".join(text_of(each.read_bytes()) for each in files)
    connection = await asyncpg.connect(f"postgresql://{place}")
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [row for (name,) in tables for row in await connection.fetch(f'SELECT * FROM "{name}"')]
    finally:
        await connection.close()
    return "\n".join(text_of(value) for row in rows for value in row.values())


def text_of(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def read_all(server: LiveServer) -> str:
    """All that the API tells of an org."""
    query = Walk("Org", {"Org.cluster": 'name: "prod"'}).query
    return str(server.execute(f"{{ org {{ {query} }} }}"))


def metrics(server: LiveServer) -> str:
    return httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.admin}"}).text
