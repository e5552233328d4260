from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.timetable import Timetable, check_schedule

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)


def fired(schedule: tuple[str, str | None], start: datetime, hours: float, step: timedelta) -> list[datetime]:
    """When it fires to somebody who looks every ``step``."""
    table = Timetable(start)
    now, found = start, []
    while now < start + timedelta(hours=hours):
        now += step
        if table.due({"it": [schedule]}, now):
            found.append(now)
    return found


def test_every_time_fires_once_however_often_one_looks() -> None:
    assert fired(("*/20 * * * *", None), NOON, 1, timedelta(seconds=7)) == [
        NOON + timedelta(seconds=each) for each in (1204, 2401, 3605)
    ]


def test_missed_times_fire_once_together() -> None:
    assert fired(("* * * * *", None), NOON, 2, timedelta(hours=1)) == [
        NOON + timedelta(hours=1),
        NOON + timedelta(hours=2),
    ]


def test_the_zone_is_its_own_also_when_the_clock_changes() -> None:
    # Berlin, 29 March 2026: 02:00 becomes 03:00, so half past three is at 01:30 UTC instead of 02:30.
    times = fired(("30 3 * * *", "Europe/Berlin"), NOON - timedelta(days=1), 60, timedelta(minutes=10))
    assert times == [datetime(2026, 3, 28, 2, 30, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]


def test_in_an_hour_that_is_repeated_a_fixed_time_fires_once() -> None:
    # Berlin, 25 October 2026: at 01:00 UTC it is 02:00 for the second time.
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    times = fired(("45 2 * * *", "Europe/Berlin"), start, 4, timedelta(minutes=5))
    assert times == [datetime(2026, 10, 25, 0, 45, tzinfo=UTC)]


def test_a_clock_that_is_set_back_fires_nothing_again() -> None:
    table = Timetable(NOON)
    schedule = {"it": [("30 12 * * *", None)]}
    assert table.due(schedule, NOON + timedelta(minutes=31)) == ["it"]
    assert table.due(schedule, NOON) == []
    assert table.due(schedule, NOON + timedelta(minutes=32)) == []


@pytest.mark.parametrize(("cron", "zone"), [("* * *", None), ("* * * * *", "Nowhere/At_All"), ("", "UTC")])
def test_bad_schedules_are_refused(cron: str, zone: str | None) -> None:
    with pytest.raises(ValueError, match=r"no cron expression|no time zone"):
        check_schedule(cron, zone)
