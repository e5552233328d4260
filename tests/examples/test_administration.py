"""What the orchestrator reports of its cluster's settings, and what it does about them when users ask."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.administration import Administration
from orchestrator.settings import BadSettings
from tests.examples.conftest import Eventually

LETTERS = [
    {"id": "l1", "event": "push", "workflow": "build", "reason": "nobody listened"},
    {"id": "l2", "event": "tag", "workflow": "gone", "attempts": 3},
]


@pytest.fixture(autouse=True)
def no_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)


@pytest.fixture
def desk(tmp_path: Path) -> Administration:
    """An administration with a directory of secrets and two dead letters; workflow `build` can be started."""
    (tmp_path / "secrets" / "deploy").mkdir(parents=True)
    (tmp_path / "secrets" / "deploy" / "SSH_KEY").write_text("the value")
    (tmp_path / "settings.toml").write_text('[secrets]\ndirectory = "secrets"\n[bindings]\nlater = ["x"]\n')
    (tmp_path / "letters.json").write_text(json.dumps(LETTERS))
    administration = Administration(
        tmp_path / "settings.toml",
        tmp_path / "letters.json",
        retry=lambda name: None if name == "build" else f"no workflow {name!r}",
    )
    administration.load()
    return administration


def letters(desk: Administration) -> dict[str, tuple[int, str | None]]:
    return {each["id"]: (each["attempts"], each["reason"]) for each in desk.report()["deadLetters"]}


async def do(desk: Administration, kind: str, **payload: str) -> tuple[bool, str | None, dict[str, Any]]:
    answer = await desk.do(kind, payload)
    return answer.succeeded, answer.message, answer.result


async def test_before_the_first_sync_nobody_knows(desk: Administration) -> None:
    [files] = desk.report()["secretBackends"]
    assert (files["connected"], files["health"], files["lastSyncAt"]) == (False, "UNKNOWN", None)
    assert desk.report()["secretScopes"] == [{"name": "later", "secretNames": [], "bindings": ["x"]}]


async def test_a_sync_tells_names_and_no_value(desk: Administration) -> None:
    assert await do(desk, "BACKEND_SYNC", backend="files") == (True, None, {})
    report = desk.report()
    [files] = report["secretBackends"]
    assert (files["connected"], files["health"], files["scopes"]) == (True, "HEALTHY", ["deploy"])
    assert files["lastSyncAt"] is not None
    assert report["secretScopes"] == [
        {"name": "deploy", "secretNames": ["SSH_KEY"], "bindings": []},
        {"name": "later", "secretNames": [], "bindings": ["x"]},
    ]
    assert "the value" not in str(report)


async def test_a_backend_that_is_away(desk: Administration, tmp_path: Path) -> None:
    await desk.sync(["files"])
    (tmp_path / "secrets").rename(tmp_path / "moved")
    cases: list[tuple[str, dict[str, str]]] = [
        ("BACKEND_SYNC", {"backend": "files"}),
        ("BACKEND_SYNC_ALL", {}),
    ]
    for kind, payload in cases:
        succeeded, message, _ = await do(desk, kind, **payload)
        assert not succeeded
        assert "No such file" in (message or "")
    [files] = desk.report()["secretBackends"]
    assert (files["connected"], files["health"], files["scopes"]) == (False, "UNREACHABLE", ["deploy"])
    assert "No such file" in files["lastError"]


async def test_a_test_answers_how_long_it_took_or_what_was_wrong(
    desk: Administration, tmp_path: Path
) -> None:
    succeeded, _, result = await do(desk, "BACKEND_TEST", backend="files")
    assert succeeded
    assert result.keys() == {"ok", "latencyMs"}
    assert result["ok"]
    (tmp_path / "secrets").rename(tmp_path / "moved")
    succeeded, _, result = await do(desk, "BACKEND_TEST", backend="files")
    assert succeeded, "the test was made; what came of it is its result"
    assert result["ok"] is False
    assert "no such directory" in result["error"]
    assert desk.report()["secretBackends"][0]["lastError"] is None, "a test changes nothing"


@pytest.mark.parametrize("kind", ["BACKEND_SYNC", "BACKEND_TEST"])
async def test_a_backend_that_nobody_set_up(desk: Administration, kind: str) -> None:
    succeeded, message, _ = await do(desk, kind, backend="vault")
    assert (succeeded, message) == (False, "no such secret backend is set up here")


async def test_dead_letters(desk: Administration) -> None:
    assert letters(desk) == {"l1": (1, "nobody listened"), "l2": (3, None)}
    assert await do(desk, "DEAD_LETTER_RETRY", deadLetterId="l2") == (False, "no workflow 'gone'", {})
    assert letters(desk) == {"l1": (1, "nobody listened"), "l2": (4, "no workflow 'gone'")}
    assert await do(desk, "DEAD_LETTER_RETRY", deadLetterId="l1") == (True, None, {})
    assert await do(desk, "DEAD_LETTER_DISCARD", deadLetterId="l2") == (True, None, {})
    assert letters(desk) == {}
    gone: tuple[bool, str, dict[str, Any]] = (False, "no such dead letter is here", {})
    assert await do(desk, "DEAD_LETTER_DISCARD", deadLetterId="l2") == gone


@pytest.mark.parametrize("text", ["no json", "{}", '[{"id": 1}]', '[{"wrong": "x"}]'])
async def test_a_file_of_letters_that_cannot_be_read_is_no_end(desk: Administration, text: str) -> None:
    desk.letters.write_text(text)
    assert desk.report()["deadLetters"] == []


@pytest.mark.parametrize(
    ("kind", "enabled", "operation"),
    [
        ("BACKEND_SYNC", None, "backends.sync_one"),
        ("BACKEND_SYNC_ALL", None, "backends.sync"),
        ("BACKEND_TEST", None, "backends.test"),
        ("DEAD_LETTER_RETRY", None, "event_dlq.retry"),
        ("DEAD_LETTER_DISCARD", None, "event_dlq.discard"),
        ("SET_ENABLED", False, "registration.disable"),
        ("DELETE", None, "registration.delete"),
    ],
)
def test_what_the_operator_forbids(tmp_path: Path, kind: str, enabled: bool | None, operation: str) -> None:
    """The server refuses such a write itself; the orchestrator does not rely on it."""
    (tmp_path / "settings.toml").write_text(f'[writes]\n"{operation}" = false\n')
    strict = Administration(tmp_path / "settings.toml", tmp_path / "letters.json")
    strict.load()
    assert strict.allows(kind, enabled) == operation
    assert Administration(None, tmp_path / "letters.json").allows(kind, enabled) is None
    assert strict.allows("SET_ENABLED", True) is None, "switching on is free"
    assert strict.allows("RUN_NOW") is None


async def test_the_file_is_read_anew_when_it_changes_and_a_bad_one_changes_nothing(
    desk: Administration, tmp_path: Path, eventually: Eventually
) -> None:
    told: list[Any] = []
    desk.on_change = lambda: told.append(desk.report())
    running = asyncio.create_task(desk.run())
    try:
        await eventually(lambda: told and told[-1]["secretBackends"][0]["health"] == "HEALTHY")
        (tmp_path / "settings.toml").write_text("[[environments]]\nname = 'blue'\n")
        await eventually(lambda: [each["name"] for each in told[-1]["environments"]] == ["blue"])
        assert told[-1]["secretBackends"] == []
        seen = len(told)
        (tmp_path / "settings.toml").write_text("[[environments]]\n")
        await eventually(lambda: len(told) > seen)
        assert [each["name"] for each in told[-1]["environments"]] == ["blue"]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_bad_file_at_the_start_ends_it(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[[environments]]\n")
    with pytest.raises(BadSettings):
        Administration(tmp_path / "settings.toml", tmp_path / "letters.json").load()
