"""Figures of runs that can be added up: what one run contributes to the span it was queued in."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from kici_gql.tables import JobStatus, RunStatus

BUCKET = timedelta(minutes=5)
_BUCKET_SECONDS = int(BUCKET.total_seconds())


class Share(NamedTuple):
    """What a run counts for, as counts to add."""

    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    timed: int = 0
    duration_ms: int = 0

    def plus(self, other: "Share", times: int = 1) -> "Share":
        """Both together; `times` -1 takes the other away."""
        return Share(*[mine + times * its for mine, its in zip(self, other, strict=True)])


def total_of(shares: Iterable[Share]) -> Share:
    return Share(*map(sum, zip(*shares, strict=True)))


NOTHING = Share()


def bucket_of(moment: datetime) -> datetime:
    """Start of the five-minute span that a moment lies in."""
    return datetime.fromtimestamp(int(moment.timestamp()) // _BUCKET_SECONDS * _BUCKET_SECONDS, UTC)


def share_of(status: RunStatus, duration_ms: int | None) -> Share:
    """What a run of this status counts for. Only finished runs count for durations; cancelled ones don't."""
    timed = status in {RunStatus.SUCCESS, RunStatus.FAILED} and duration_ms is not None
    return Share(
        runs=1,
        succeeded=int(status is RunStatus.SUCCESS),
        failed=int(status is RunStatus.FAILED),
        cancelled=int(status is RunStatus.CANCELLED),
        timed=int(timed),
        duration_ms=duration_ms if timed and duration_ms is not None else 0,
    )


WAITING = frozenset({JobStatus.PENDING, JobStatus.QUEUED})
RUNNING = frozenset({JobStatus.RUNNING, JobStatus.RECOVERING, JobStatus.CANCELLING})


def job_share(status: JobStatus | None) -> tuple[int, int]:
    """What a job of a run that goes on counts for: (queued, running)."""
    return int(status in WAITING), int(status in RUNNING)


def success_rate(succeeded: int, failed: int) -> float | None:
    """Share of successes among the runs that succeeded or failed, 0 to 1; None when there are none."""
    return succeeded / (succeeded + failed) if succeeded + failed else None
