"""Execution metrics."""

from datetime import datetime, timedelta

import strawberry
from sqlalchemy import Connection

from kici_gql.errors import InvalidInput
from kici_gql.rules import metrics as rules
from kici_gql.rules.metrics import Share
from kici_gql.rules.reports import MAX_CLOCK_SKEW
from kici_gql.store import runs

MAX_WINDOW_HOURS = 24 * 31


@strawberry.type(description="Figures of the runs that were queued in one hour.")
class MetricsPoint:
    at: datetime = strawberry.field(description="Start of the hour.")
    runs: int = strawberry.field(description="Runs queued.")
    succeeded: int = strawberry.field(description="Of them: succeeded.")
    failed: int = strawberry.field(description="Of them: failed.")
    cancelled: int = strawberry.field(description="Of them: cancelled.")
    average_duration_ms: int | None = strawberry.field(
        description="Average duration in ms; null when none finished."
    )


@strawberry.type(
    description="Figures of the runs that were queued in the window, and of the jobs there are now."
)
class ExecutionMetrics:
    window_hours: int = strawberry.field(description="Length of the window in hours.")
    since: datetime = strawberry.field(description="Start of the window, rounded down to five minutes.")
    total_runs: int = strawberry.field(description="Runs queued in the window.")
    succeeded_runs: int = strawberry.field(description="Of them: succeeded.")
    failed_runs: int = strawberry.field(description="Of them: failed.")
    cancelled_runs: int = strawberry.field(description="Of them: cancelled.")
    success_rate: float | None = strawberry.field(
        description="Succeeded among succeeded and failed, 0 to 1; null when there are none."
    )
    average_duration_ms: int | None = strawberry.field(
        description="Average duration of those that succeeded or failed, in ms; null when there are none."
    )
    queued_jobs: int = strawberry.field(description="Jobs that wait now, of runs that have not ended.")
    running_jobs: int = strawberry.field(description="Jobs that run now, of runs that have not ended.")
    series: list[MetricsPoint] = strawberry.field(
        description="The window hour by hour, oldest first; empty hours too."
    )


def check_window(hours: int) -> int:
    if not 1 <= hours <= MAX_WINDOW_HOURS:
        raise InvalidInput(
            f"windowHours is {hours}", hint=f"Ask for 1 to {MAX_WINDOW_HOURS} hours.", path=["windowHours"]
        )
    return hours


def since(hours: int, now: datetime) -> datetime:
    """Start of the window that ends now."""
    return rules.bucket_of(now - timedelta(hours=hours))


def read_metrics(connection: Connection, org_id: str, hours: int, now: datetime) -> ExecutionMetrics:
    """Adds up what is kept of each five minutes: the cost depends on the window, not on the runs."""
    start = since(hours, now)
    found = {hour: Share(*figures) for hour, figures in runs.hours(connection, org_id, start)}
    # A clock that is ahead of ours has its runs counted too, as far as it may be.
    last = min(max([now, *found]), now + MAX_CLOCK_SKEW)
    whole = rules.total_of(found.values())
    queued, running = runs.job_figures(connection, org_id)
    return ExecutionMetrics(
        window_hours=hours,
        since=start,
        total_runs=whole.runs,
        succeeded_runs=whole.succeeded,
        failed_runs=whole.failed,
        cancelled_runs=whole.cancelled,
        success_rate=rules.success_rate(whole.succeeded, whole.failed),
        average_duration_ms=_average(whole.duration_ms, whole.timed),
        queued_jobs=queued,
        running_jobs=running,
        series=[_point(hour, found.get(hour, rules.NOTHING)) for hour in _hours(start, last)],
    )


def _hours(since: datetime, last: datetime) -> list[datetime]:
    """Every hour that has begun by `last`, from the one that `since` lies in."""
    first = since.replace(minute=0)
    return [first + timedelta(hours=number) for number in range((last - first) // timedelta(hours=1) + 1)]


def _point(at: datetime, share: Share) -> MetricsPoint:
    return MetricsPoint(
        at=at,
        runs=share.runs,
        succeeded=share.succeeded,
        failed=share.failed,
        cancelled=share.cancelled,
        average_duration_ms=_average(share.duration_ms, share.timed),
    )


def _average(total: int, count: int) -> int | None:
    return round(total / count) if count else None
