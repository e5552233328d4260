from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kici_gql.errors import InvalidInput
from kici_gql.rules import workflows as rules
from kici_gql.rules.workflows import SyncStatus

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("enabled", "last", "stale"),
    [
        (True, None, True),
        (True, NOW - 31 * DAY, True),
        (True, NOW - 30 * DAY - timedelta(microseconds=1), True),
        (True, NOW - 30 * DAY, False),
        (True, NOW + DAY, False),
        (False, None, False),
        (False, NOW - 31 * DAY, False),
    ],
)
def test_stale(enabled: bool, last: datetime | None, stale: bool) -> None:
    assert rules.is_stale(enabled, last, NOW) is stale


@pytest.mark.parametrize(
    ("version", "announced", "age", "error", "connected", "reported", "status"),
    [
        ("v1", "v1", 5, None, True, True, SyncStatus.IN_SYNC),
        ("v1", "v1", 500, None, True, True, SyncStatus.IN_SYNC),
        ("v1", None, None, None, True, True, SyncStatus.IN_SYNC),
        (None, None, None, None, True, True, SyncStatus.IN_SYNC),  # an orchestrator without versions
        ("v1", "v2", 5, None, True, True, SyncStatus.SYNCING),
        ("v1", "v2", 60, None, True, True, SyncStatus.SYNCING),
        ("v1", "v2", 61, None, True, True, SyncStatus.STALE),
        (None, "v1", 5, None, True, False, SyncStatus.SYNCING),
        (None, "v1", 61, None, True, False, SyncStatus.STALE),
        ("v1", "v1", 5, None, False, True, SyncStatus.STALE),
        ("v1", "v2", 5, None, False, True, SyncStatus.STALE),
        ("v1", "v1", 5, "broken", True, True, SyncStatus.ERROR),
        ("v1", "v1", 5, "broken", False, True, SyncStatus.ERROR),
    ],
)
def test_sync_status(
    version: str | None,
    announced: str | None,
    age: int | None,
    error: str | None,
    connected: bool,
    reported: bool,
    status: SyncStatus,
) -> None:
    at = None if age is None else NOW - timedelta(seconds=age)
    assert rules.sync_status(version, announced, at, error, connected, NOW, reported=reported) is status


def declared(name: str, kind: str = "STRING", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": False, "default": None, "options": [], **more}


DECLARED = [
    declared("target", required=True),
    declared("count", "NUMBER", default="3"),
    declared("dry", "BOOLEAN"),
    declared("stage", "CHOICE", options=["test", "live"]),
]


def test_inputs_get_their_defaults() -> None:
    assert rules.check_inputs(DECLARED, {"target": ""}) == {"target": "", "count": "3"}
    given = {"target": "x", "count": "-1.5e3", "dry": "true", "stage": "live"}
    assert rules.check_inputs(DECLARED, given) == given
    assert rules.check_inputs([], {}) == {}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "target"),
        ({"target": "x", "count": "many"}, "count"),
        ({"target": "x", "count": "nan"}, "count"),
        ({"target": "x", "count": "-inf"}, "count"),
        ({"target": "x", "count": "1_0"}, "count"),
        ({"target": "x", "count": " 1"}, "count"),
        ({"target": "x", "count": "١"}, "count"),
        ({"target": "x", "count": "1e999"}, "count"),
        ({"target": "a\0b"}, "target"),
        ({"target": "x" * 32_769}, "target"),
        ({"target": "x", "dry": "yes"}, "dry"),
        ({"target": "x", "stage": "moon"}, "stage"),
        ({"target": "x", "other": "1"}, "other"),
    ],
)
def test_wrong_inputs_are_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules.check_inputs(DECLARED, given)
    assert named in f"{caught.value} {caught.value.path}"
    assert caught.value.hint
