"""When cron schedules fire next.

Cron expressions have five fields and are read in the schedule's own time zone. Around a change of the clock they follow
Debian's cron: a time that does not exist fires right after the gap, one that exists twice fires once; schedules
with a wildcard in hours or minutes follow the elapsed time instead.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


class BadSchedule(ValueError):
    """The text says what is wrong with the expression or the time zone."""


class _Schedule(CronSim):
    """cronsim 2.8 expects that clocks change by whole hours, and never at midnight; here they may do as they like.

    Only schedules with a wildcard in hours or minutes walk through real time and come past here with a time zone.
    """

    def advance_month(self) -> None:
        super().advance_month()
        self._leave_gap()

    def advance_day(self) -> bool:
        advanced = super().advance_day()
        self._leave_gap()
        return advanced

    def advance_hour(self) -> bool:
        """Go to the next hour that is wanted, from one full hour of the clock on the wall to the next."""
        if self.dt.hour in self.hours:
            return False
        while self.dt.hour not in self.hours:
            self.tick(seconds=3600 - self.dt.minute * 60 - self.dt.second)
            if self.dt.hour == 0:
                break  # another day: is it wanted?
        return True

    def _leave_gap(self) -> None:
        """A day that begins with a gap begins behind it."""
        zone: tzinfo | None = self.dt.tzinfo
        if zone is not None:
            self.dt = self.dt.astimezone(UTC).astimezone(zone)


def next_fire(cron: str, timezone: str | None, after: datetime) -> datetime | None:
    """The first time behind `after`, in UTC; None when there is none in the next decades. Raises BadSchedule."""
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise BadSchedule(f"{(timezone or '')[:80]!r} is not a time zone of the IANA database") from error
    try:
        moments = (moment.astimezone(UTC) for moment in _Schedule(cron, after.astimezone(zone)))
        # In the second pass of a repeated hour cronsim answers with fixed times of the first, which is over.
        return next((moment for moment in moments if moment > after), None)
    except (CronSimError, ValueError) as error:
        raise BadSchedule(f"{cron[:80]!r} is not a cron expression of five fields") from error


def next_fire_of(triggers: Iterable[dict[str, Any]], after: datetime) -> datetime | None:
    """The first time that one of the schedule triggers fires; malformed ones are passed over."""
    found: list[datetime] = []
    for trigger in triggers:
        cron = cron_of(trigger)
        if cron is None:
            continue
        try:
            moment = next_fire(cron, zone_of(trigger), after)
        except BadSchedule:
            continue
        if moment is not None:
            found.append(moment)
    return min(found, default=None)


def cron_of(trigger: dict[str, Any]) -> str | None:
    """The expression of a schedule trigger, None for any other."""
    cron = trigger.get("cron", trigger.get("cronExpression"))
    return cron if trigger.get("type") == "schedule" and isinstance(cron, str) else None


def zone_of(trigger: dict[str, Any]) -> str | None:
    zone = trigger.get("timezone")
    return zone if isinstance(zone, str) and zone else None
