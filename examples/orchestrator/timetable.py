"""When schedules fire. Pure: it is given the time."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

Schedule = tuple[str, str | None]
"""A cron expression of five fields, and the time zone it is read in (None: UTC)."""


def check_schedule(cron: str, timezone: str | None) -> None:
    """Raises ValueError that says what is wrong with the expression or the time zone."""
    next_fire((cron, timezone), datetime.now(UTC))


def next_fire(schedule: Schedule, after: datetime) -> datetime | None:
    """The first time behind ``after``; None when there is none in the next decades. Raises ValueError."""
    cron, timezone = schedule
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{timezone!r} is no time zone") from None
    try:
        moments = (moment.astimezone(UTC) for moment in CronSim(cron, after.astimezone(zone)))
        # When a clock was set back, cronsim names times of the hour's first pass again.
        return next((moment for moment in moments if moment > after), None)
    except CronSimError:
        raise ValueError(f"{cron!r} is no cron expression") from None


class Timetable:
    """Remembers up to when it has looked, so that every time fires once, and several missed ones fire once together."""

    def __init__(self, now: datetime) -> None:
        self.looked_at = now

    def due(self, schedules: Mapping[str, Iterable[Schedule]], now: datetime) -> list[str]:
        """The names whose schedules have fired since the last look."""
        # A clock that was set back must not fire again what it has fired.
        after, self.looked_at = self.looked_at, max(now, self.looked_at)
        return [
            name
            for name, each in schedules.items()
            if any((moment := next_fire(one, after)) is not None and moment <= now for one in each)
        ]
