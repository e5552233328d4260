"""How reports about one run, job or step become one state, whatever order they arrive in and however often.

Status is ranked: it only moves forward, and among equal ranks the later word wins. Every other column belongs to the
report that spoke of it last, by the orchestrator's own clock; a report that is silent about a column changes nothing.
Both are joins: merging in any order, and merging twice, gives the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from kici_gql.tables import JobStatus, RunStatus, StepStatus

_RUN = {RunStatus.PENDING: 0, RunStatus.HELD: 1, RunStatus.RUNNING: 2, RunStatus.CANCELLING: 3}
_JOB = {
    JobStatus.PENDING: 0,
    JobStatus.QUEUED: 1,
    JobStatus.RUNNING: 2,
    JobStatus.RECOVERING: 2,
    JobStatus.CANCELLING: 3,
}
_STEP = {StepStatus.PENDING: 0, StepStatus.RUNNING: 1}
FINAL = 4

_BY_KIND: dict[type[StrEnum], Mapping[Any, int]] = {RunStatus: _RUN, JobStatus: _JOB, StepStatus: _STEP}


def rank(status: StrEnum) -> int:
    """How far along a status is; FINAL for those that end."""
    return _BY_KIND[type(status)].get(status, FINAL)


def is_final(status: StrEnum) -> bool:
    return rank(status) == FINAL


def millis(moment: datetime) -> int:
    """Milliseconds since 1970, which is as early as anything counts."""
    return max(0, int(moment.timestamp() * 1000))


def merge(
    known: Mapping[str, Any], stamps: Mapping[str, int], told: Mapping[str, Any], at: int
) -> dict[str, Any]:
    """Columns that change, `stamps` among them, when a report of time `at` (ms) tells `told`; empty when none does."""
    changes: dict[str, Any] = {}
    marks = dict(stamps)
    for column, value in told.items():
        if value is None:
            continue
        if column == "status":
            wins = _status_wins(known.get("status"), marks.get("status", -1), value, at)
        else:
            wins = (at, _key(value)) > (marks.get(column, -1), _key(known.get(column)))
        if wins:
            marks[column] = at
            if known.get(column) != value:
                changes[column] = value
    if marks != stamps:
        changes["stamps"] = marks
    return changes


def _status_wins(known: StrEnum | None, stamp: int, value: StrEnum, at: int) -> bool:
    if known is None or stamp < 0:  # nobody but the server has spoken of it yet
        return True
    return (rank(value), at, value) > (rank(known), stamp, known)


def _key(value: Any) -> str:
    """Two different values told at the same time: the choice must not depend on which came first."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return "" if value is None else str(value)
