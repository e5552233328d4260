"""How reports about one run, job or step become one state, whatever order they arrive in and however often.

Status is ranked: it only moves forward, and among equal ranks the later word wins. Every other column belongs to the
report that spoke of it last, by the orchestrator's own clock; a report that is silent about a column changes nothing.
Both are joins: merging in any order, and merging twice, gives the same.

A run can get jobs while it goes on: KiCI builds a workflow to learn its jobs, and says `success` when that first job is
done. So a status counts for the jobs it knew of, and an end gives way to a later word that knows of more jobs.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

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
JOBS = "jobs"
"""The stamp that says how many jobs the known status counts for."""

_OF_THE_END = ("completed_at", "duration_ms", "failure_reason")

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
    known: Mapping[str, Any], stamps: Mapping[str, int], told: Mapping[str, Any], at: int, jobs: int = 0
) -> dict[str, Any]:
    """Columns that change, `stamps` among them, when a report of time `at` (ms) tells `told`; empty when none does.

    `jobs` is how many jobs the report's status counts for; 0 where nobody said.
    """
    changes: dict[str, Any] = {}
    marks = dict(stamps)
    before = _word(known.get("status"), marks.get("status", -1), marks.get(JOBS, 0))
    word = _word(told.get("status"), at, jobs)
    if _goes_on(before, word):
        changes = {column: None for column in _OF_THE_END if known.get(column) is not None}
        marks = {column: mark for column, mark in marks.items() if column not in _OF_THE_END}
    elif _goes_on(word, before):
        told = {column: value for column, value in told.items() if column not in _OF_THE_END}
    if word is not None and jobs and _outweighs(word, before):
        marks[JOBS] = jobs
    for column, value in told.items():
        if value is None:
            continue
        if column == "status":
            wins = word is not None and _outweighs(word, before)
        else:
            wins = (at, _key(value)) > (marks.get(column, -1), _key(known.get(column)))
        if wins:
            marks[column] = at
            if known.get(column) != value:
                changes[column] = value
    if marks != stamps:
        changes["stamps"] = marks
    return changes


class _Word(NamedTuple):
    """What a report says of how it goes."""

    jobs: int
    rank: int
    at: int
    status: StrEnum


def _word(status: StrEnum | None, at: int, jobs: int) -> _Word | None:
    """None where nobody but the server has spoken of it yet."""
    return None if status is None or at < 0 else _Word(jobs, rank(status), at, status)


def _goes_on(end: _Word | None, word: _Word | None) -> bool:
    """Whether `end` was not the end, because of `word`. Both must say so: the count alone can shrink for other reasons."""
    if end is None or word is None or end.rank != FINAL or word.rank == FINAL:
        return False
    return word.jobs > end.jobs and word.at > end.at


def _outweighs(word: _Word, before: _Word | None) -> bool:
    if before is None or _goes_on(before, word):
        return True
    if _goes_on(word, before):
        return False
    if FINAL in {word.rank, before.rank}:
        return (word.rank, word.at, word.status, word.jobs) > (
            before.rank,
            before.at,
            before.status,
            before.jobs,
        )
    return word > before


def _key(value: Any) -> str:
    """Two different values told at the same time: the choice must not depend on which came first."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return "" if value is None else str(value)
