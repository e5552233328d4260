"""When schedules fire, against a look at every minute with the standard library's own time zones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kici_gql.rules import schedules
from kici_gql.rules.schedules import BadSchedule

MINUTE = timedelta(minutes=1)
# Both changes of the clock in zones of the north and the south, one whose clock changes by half an hour, two where it
# changes at midnight, one without any.
CHANGES = {
    "Europe/Berlin": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "America/New_York": (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "Australia/Sydney": (datetime(2026, 10, 3, 16, tzinfo=UTC), datetime(2026, 4, 4, 16, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC)),
    "Africa/Cairo": (datetime(2026, 4, 23, 22, tzinfo=UTC), datetime(2026, 10, 29, 21, tzinfo=UTC)),
    "America/Havana": (datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC)),
    "Asia/Kolkata": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
}
AROUND = [(zone, change) for zone, changes in CHANGES.items() for change in changes]


def field_matches(field: str, value: int) -> bool:
    """Numbers, lists, ranges and steps of a cron field."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        first = 0 if span == "*" else int(low)
        last = 99 if span == "*" else int(high or low)
        if first <= value <= last and (value - first) % int(step or 1) == 0:
            return True
    return False


def names(cron: str, local: datetime) -> bool:
    """Whether the expression names this local time. Of day and weekday only one may be restricted here."""
    minute, hour, day, month, weekday = cron.split()
    return (
        field_matches(minute, local.minute)
        and field_matches(hour, local.hour)
        and field_matches(day, local.day)
        and field_matches(month, local.month)
        and field_matches(weekday, local.isoweekday() % 7)
    )


def fires(cron: str, zone: str, first: datetime, last: datetime) -> list[datetime]:
    found: list[datetime] = []
    moment = schedules.next_fire(cron, zone, first)
    while moment is not None and moment <= last:
        found.append(moment)
        moment = schedules.next_fire(cron, zone, moment)
    return found


def minutes(first: datetime, last: datetime) -> list[datetime]:
    return [first + MINUTE * n for n in range(1, int((last - first) / MINUTE) + 1)]


@pytest.mark.parametrize(("zone", "change"), AROUND)
@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",
        "13 * * * *",
        "* 2 * * *",
        "* 3 * * *",
        "*/20 1-3 * * *",
        "*/9 0 8,24 * *",
        "*/9 0 * 3,4 *",
    ],
)
def test_with_a_wildcard_every_minute_that_it_names_counts(zone: str, change: datetime, cron: str) -> None:
    """Elapsed time: a repeated hour fires again, a skipped one does not."""
    first, last = change - timedelta(hours=26), change + timedelta(hours=26)
    local = ZoneInfo(zone)
    named = [each for each in minutes(first, last) if names(cron, each.astimezone(local))]
    assert fires(cron, zone, first, last) == named


@pytest.mark.parametrize(("zone", "change"), AROUND)
@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "15,45 1,2,3 * * *", "5 0 * * *", "30 2 * * 0"])
def test_a_fixed_time_fires_once_a_day_whatever_the_clock_does(
    zone: str, change: datetime, cron: str
) -> None:
    first, last = change - timedelta(hours=26), change + timedelta(hours=26)
    local = ZoneInfo(zone)
    expected: set[datetime] = set()
    day = first.astimezone(local).date() - timedelta(days=1)
    for number in range(5):
        for minute in range(24 * 60):
            wall = datetime.combine(day + timedelta(days=number), datetime.min.time()) + MINUTE * minute
            if not names(cron, wall):
                continue
            moment = wall.replace(tzinfo=local).astimezone(UTC)  # of two, the first: fold is 0
            if moment.astimezone(local).replace(tzinfo=None) != wall:
                moment = end_of_gap(moment, local)  # there is no such time today: right after the gap
            expected.add(moment)
    assert fires(cron, zone, first, last) == sorted(each for each in expected if first < each <= last)


@pytest.mark.parametrize(("zone", "change"), AROUND)
@pytest.mark.parametrize("cron", ["0 2 * * *", "15,45 0-3 * * *", "7 * * * *", "* 2 * * *"])
def test_from_wherever_one_looks_the_next_time_is_the_same(zone: str, change: datetime, cron: str) -> None:
    """Also from within an hour that is repeated."""
    every = fires(cron, zone, change - timedelta(hours=26), change + timedelta(hours=50))
    for moment in minutes(change - timedelta(hours=3), change + timedelta(hours=3))[::5]:
        assert schedules.next_fire(cron, zone, moment) == next(each for each in every if each > moment)


def end_of_gap(moment: datetime, local: ZoneInfo) -> datetime:
    """The first minute whose offset is the one after the change that swallowed this time."""
    at = moment - timedelta(hours=3)
    before = at.astimezone(local).utcoffset()
    while at.astimezone(local).utcoffset() == before:
        at += MINUTE
    return at


def test_the_answer_is_in_utc_and_behind_the_moment_asked_about() -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    found = schedules.next_fire("0 13 * * *", "Europe/Berlin", at)
    assert found == datetime(2026, 2, 1, 12, tzinfo=UTC)
    assert found.tzinfo is UTC
    assert schedules.next_fire("0 12 * * *", None, at) == at + timedelta(days=1)


def test_the_29th_of_february_is_waited_for() -> None:
    found = schedules.next_fire("0 0 29 2 *", None, datetime(2026, 1, 1, tzinfo=UTC))
    assert found == datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("", None),
        ("* * * *", None),
        ("* * * * * * *", None),
        ("60 * * * *", None),
        ("0 0 30 2 *", None),  # a date that never comes
        ("every day", None),
        ("* * * * *", "Mars/Olympus"),
        ("* * * * *", "../etc/passwd"),
        ("* * * * *", "\0"),
        ("*" * 40_000, None),
    ],
)
def test_malformed(cron: str, zone: str | None) -> None:
    with pytest.raises(BadSchedule):
        schedules.next_fire(cron, zone, datetime(2026, 1, 1, tzinfo=UTC))


def test_the_earliest_of_several_counts_and_others_are_passed_over() -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    triggers: list[dict[str, Any]] = [
        {"type": "push"},
        {"type": "schedule", "cron": "0 18 * * *"},
        {"type": "schedule", "cronExpression": "0 15 * * *", "timezone": ""},
        {"type": "schedule", "cron": "nonsense"},
        {"type": "schedule", "cron": 5},
        {"type": "schedule"},
        {"type": "other", "cron": "0 13 * * *"},
    ]
    assert schedules.next_fire_of(triggers, at) == datetime(2026, 1, 31, 15, tzinfo=UTC)
    assert schedules.next_fire_of([], at) is None
