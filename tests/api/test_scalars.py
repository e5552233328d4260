from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kici_gql.api.scalars import SCALARS, Cursor
from kici_gql.errors import InvalidInput
from kici_gql.events import Event, EventType, encode_events, iso

TIME = SCALARS[datetime]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment", [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(milliseconds=500)]
)
def test_a_time_is_printed_the_same_from_a_row_and_from_an_event(moment: datetime) -> None:
    import orjson

    [[_, stored]] = orjson.loads(encode_events([Event(EventType.AGENT_CHANGED, {"at": moment})]))
    print_time: Any = TIME.serialize
    assert print_time(stored["at"]) == print_time(moment) == iso(moment)


def test_times_are_read_in_any_offset() -> None:
    read: Any = TIME.parse_value
    assert read("2026-01-31T14:00:00+02:00") == NOON
    assert read(iso(NOON)) == NOON
    assert read("2026-01-31 12:00:00.0000000z") == NOON
    assert read(NOON.astimezone(timezone(timedelta(hours=-5))).isoformat()) == NOON


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-W05-6T12:00:00Z",
        "20260131T120000Z",
        "2026-01-31X12:00:00Z",
        "2026-01-31T12:00:00+00",
        "2026-01-31T12:00:00+00:00:30",
        1,
        None,
        True,
        [],
        {},
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-13-01T00:00:00Z",
        "\x00",
        "9" * 100000,
    ],
)
def test_what_is_no_time(value: object) -> None:
    read: Any = TIME.parse_value
    with pytest.raises(InvalidInput):
        read(value)


@pytest.mark.parametrize("value", ["", "x", 1, None, [], "MDEyMzQ1Njc6MQ=="])
def test_what_is_no_cursor(value: object) -> None:
    read: Any = SCALARS[Cursor].parse_value
    with pytest.raises(InvalidInput):
        read(value)
