from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from kici_gql.settings import Settings

POSTGRES = "postgresql+asyncpg://u@h/d"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("KICI_GQL_")]:
        monkeypatch.delenv(name)


def test_defaults_are_a_laptop() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.is_sqlite
    assert settings.broadcast_url == "memory://"
    assert (settings.late_after_seconds, settings.lost_after_seconds) == (60, 180)
    assert not settings.demo


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"workers": 2}, "KICI_GQL_DATABASE_URL=postgresql"),
        ({"workers": 2, "database_url": POSTGRES}, "KICI_GQL_BROADCAST_URL=redis"),
        ({"workers": 2, "broadcast_url": "redis://h"}, "KICI_GQL_DATABASE_URL"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"database_url": "mysql://x"}, "database_url must start with"),
        ({"database_url": "sqlite:///x.db"}, "database_url must start with"),
        ({"database_url": "postgresql://u@h/d"}, "database_url must start with"),
        ({"broadcast_url": "kafka://h"}, "broadcast_url must start with"),
        ({"heartbeat_interval_seconds": 90, "lost_after_seconds": 180}, "must be more than"),
        ({"bookmark_seconds": 16}, "less than or equal to 15"),
        ({"port": 70_000}, "less than or equal to 65535"),
        ({"log_level": "loud"}, "pattern"),
        ({"no_such_setting": 1}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Settings(**given)


def test_several_workers_with_what_they_need() -> None:
    assert Settings(workers=4, database_url=POSTGRES, broadcast_url="redis://h:6379").workers == 4


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KICI_GQL_HEARTBEAT_INTERVAL_SECONDS", "5")
    monkeypatch.setenv("KICI_GQL_ALLOWED_ORIGINS", '["https://ci.example"]')
    settings = Settings()
    assert settings.heartbeat_interval_seconds == 5
    assert settings.allowed_origins == ("https://ci.example",)


def test_the_bootstrap_token_is_not_printed() -> None:
    assert "kgq_secret" not in repr(Settings(bootstrap_token=SecretStr("kgq_secret-secret-secret")))


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
