"""The file of a cluster's settings: what it may say, and what is refused."""

from pathlib import Path

import pytest

from orchestrator.secrets import Directory, Vault
from orchestrator.settings import BadSettings, Settings, read

FILE = """
[policy]
require_review = true
max_age = 7

[writes]
"registration.delete" = false
"backends.sync" = true

[[environments]]
name = "production"
variables = ["REGION"]
rules = [{ type = "required_reviewers", description = "two of the team" }, { type = "wait" }]

[[environments]]
name = "review/*"
enabled = false

[global_workflows]
enabled = true
allowed = ["acme/shop"]
denied = []

[secrets]
directory = "secrets"
vault = { mount = "kv", prefix = "/team/" }

[bindings]
deploy = ["environment:production"]
"""


@pytest.fixture(autouse=True)
def no_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def test_all_that_a_file_may_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:8200")
    monkeypatch.setenv("VAULT_TOKEN", "hvs.x")
    settings = read(written(tmp_path, FILE))
    assert settings.policy == {
        "settings": [{"key": "require_review", "value": "True"}, {"key": "max_age", "value": "7"}],
        "writes": [
            {"operation": "registration.delete", "allowed": False},
            {"operation": "backends.sync", "allowed": True},
        ],
    }
    production, review = settings.environments
    assert (production["type"], production["enabled"], production["variableNames"]) == (
        "fixed",
        True,
        ["REGION"],
    )
    assert production["protectionRules"] == [
        {"type": "required_reviewers", "description": "two of the team"},
        {"type": "wait", "description": None},
    ]
    assert (review["type"], review["enabled"]) == ("glob", False)
    assert settings.global_workflows == {
        "enabled": True, "allowedRepositories": ["acme/shop"], "deniedRepositories": [],
    }  # fmt: skip
    assert settings.bindings == {"deploy": ["environment:production"]}
    assert settings.backends == (
        Directory("files", tmp_path / "secrets"),
        Vault("vault", "http://127.0.0.1:8200", "hvs.x", "kv", "team/"),
    )


def test_what_is_not_named_is_allowed(tmp_path: Path) -> None:
    settings = read(written(tmp_path, FILE))
    assert not settings.allows("registration.delete")
    assert settings.allows("backends.sync")
    assert settings.allows("event_dlq.retry")


def test_without_a_file_there_is_nothing_but_the_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(None) == Settings()
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:8200")
    assert [each.type for each in read(None).backends] == ["vault"]


def test_the_example_is_good(examples: Path) -> None:
    settings = read(examples / "settings.toml")
    assert {each["name"] for each in settings.environments} == {"production", "review/*"}
    assert not settings.allows("event_dlq.discard")
    [files] = settings.backends
    assert set(files.scopes()) == set(settings.bindings)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[polcy]\na = 1",
        '[writes]\n"registration.delete" = "no"',
        "[[environments]]\ntype = 'fixed'",
        "[[environments]]\nname = 'a'\nvariables = 'REGION'",
        "[[environments]]\nname = 'a'\nrules = [{ description = 'x' }]",
        "environments = 1",
        "[bindings]\ndeploy = [1]",
        "[global_workflows]\nallowed = 'acme/shop'",
        "secrets = 'here'",
    ],
)
def test_what_is_refused_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"settings\.toml"):
        read(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"gone\.toml: No such file"):
        read(tmp_path / "gone.toml")
