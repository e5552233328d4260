"""When cron schedules fire next.

Cron expressions have five fields and are read in the schedule's own time zone. Around a change of the clock they follow
Debian's cron: a time that does not exist fires right after the gap, one that exists twice fires once; schedules
with a wildcard in hours or minutes follow the elapsed time instead.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


class BadSchedule(ValueError):
    """The text says what is wrong with the expression or the time zone."""


def next_fire(cron: str, timezone: str | None, after: datetime) -> datetime | None:
    """The first time behind `after`, in UTC; None when there is none in the next decades. Raises BadSchedule."""
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise BadSchedule(f"{(timezone or '')[:80]!r} is not a time zone of the IANA database") from error
    try:
        moment = next(CronSim(cron, after.astimezone(zone)), None)
    except (CronSimError, ValueError) as error:
        raise BadSchedule(f"{cron[:80]!r} is not a cron expression of five fields") from error
    return None if moment is None else moment.astimezone(UTC)


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
