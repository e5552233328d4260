"""Execution metrics."""

from datetime import datetime, timedelta

import strawberry
from sqlalchemy import Connection

from kici_gql.errors import InvalidInput
from kici_gql.rules import metrics as rules
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
    queued_jobs: int = strawberry.field(description="Jobs that wait now.")
    running_jobs: int = strawberry.field(description="Jobs that run now.")
    series: list[MetricsPoint] = strawberry.field(
        description="The window hour by hour, oldest first; empty hours too."
    )


def check_window(hours: int) -> int:
    if not 1 <= hours <= MAX_WINDOW_HOURS:
        raise InvalidInput(
            f"windowHours is {hours}", hint=f"Ask for 1 to {MAX_WINDOW_HOURS} hours.", path=["windowHours"]
        )
    return hours


def read_metrics(connection: Connection, org_id: str, hours: int, now: datetime) -> ExecutionMetrics:
    """Adds up what is kept of each five minutes: the cost depends on the window, not on the runs."""
    since = rules.bucket_of(now - timedelta(hours=hours))
    buckets = runs.buckets(connection, org_id, since)
    succeeded = sum(each.succeeded for each in buckets)
    failed = sum(each.failed for each in buckets)
    queued, running = runs.job_figures(connection, org_id)
    points: dict[datetime, list[int]] = {}
    hour = since.replace(minute=0)
    while hour <= now:
        points[hour] = [0] * 6
        hour += timedelta(hours=1)
    for each in buckets:
        figures = (each.runs, each.succeeded, each.failed, each.cancelled, each.timed, each.duration_ms)
        point = points.setdefault(each.start.replace(minute=0), [0] * 6)
        points[each.start.replace(minute=0)] = [a + b for a, b in zip(point, figures, strict=True)]
    return ExecutionMetrics(
        window_hours=hours,
        since=since,
        total_runs=sum(each.runs for each in buckets),
        succeeded_runs=succeeded,
        failed_runs=failed,
        cancelled_runs=sum(each.cancelled for each in buckets),
        success_rate=rules.success_rate(succeeded, failed),
        average_duration_ms=_average(
            sum(each.duration_ms for each in buckets), sum(each.timed for each in buckets)
        ),
        queued_jobs=queued,
        running_jobs=running,
        series=[_point(at, figures) for at, figures in sorted(points.items())],
    )


def _point(at: datetime, figures: list[int]) -> MetricsPoint:
    total, succeeded, failed, cancelled, timed, duration_ms = figures
    return MetricsPoint(
        at=at,
        runs=total,
        succeeded=succeeded,
        failed=failed,
        cancelled=cancelled,
        average_duration_ms=_average(duration_ms, timed),
    )


def _average(total: int, count: int) -> int | None:
    return round(total / count) if count else None
