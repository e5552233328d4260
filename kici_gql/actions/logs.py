"""Log lines: stored once however often they are sent; what is missing stays visible as a hole."""

from collections.abc import Iterable, Sequence
from functools import partial

import orjson

from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.errors import NotFound
from kici_gql.events import Event, EventType
from kici_gql.rules import run_reports
from kici_gql.rules.secrets import redacted_lines
from kici_gql.store import Tx, logs, records, runs
from kici_gql.tables import Job, LogChunk, Run

_CHUNK_LINES = 500
"""Lines stored together, so that a reader who wants one page reads little more than that."""


async def report(call: Call, connection_id: str, told: Sequence[run_reports.LogPart]) -> Done:
    """Take log lines. Answers `stored` and `dropped`: lines beyond what is kept of one run.

    Raises NotFound for a run or job that was never reported.
    """

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        stored, dropped = take(tx, orchestrator.cluster_id, told, call.settings.max_run_log_bytes)
        return {"object_id": orchestrator.id, "stored": stored, "dropped": dropped}

    return await perform(call, Action("orchestratorReportLogs", work, partial(run_reports.check_logs, told)))


def take(tx: Tx, cluster_id: str, told: Sequence[run_reports.LogPart], max_bytes: int) -> tuple[int, int]:
    """Store the lines that are not stored yet. Returns how many, and how many found no room."""
    known = runs.by_external_ids(tx.connection, cluster_id, {part.run_id for part in told})
    jobs = runs.jobs_of(tx.connection, [row.id for row in known.values()])
    room = {row.id: max_bytes - row.log_bytes for row in known.values()}
    stored = dropped = 0
    for index, part in enumerate(told):
        run = known.get(part.run_id)
        job = jobs.get((run.id, part.job_id)) if run is not None else None
        if run is None or job is None:
            raise NotFound(
                "this cluster has no such run or job",
                hint="Report the run and its job first.",
                path=["parts", index],
            )
        for first, lines in _missing(tx, job, part):
            fitting, size = _fitting(lines, room[run.id])
            dropped += len(lines) - len(fitting)
            if fitting:
                room[run.id] -= size
                stored += len(fitting)
                _store(tx, run, job, part.step, first, fitting, size)
    for row in known.values():
        used = max_bytes - room[row.id]
        if used != row.log_bytes:
            records.change(tx.connection, Run, row.id, {"log_bytes": used})
    return stored, dropped


def restore(tx: Tx, cluster_id: str, whole: run_reports.LogPart, max_bytes: int) -> None:
    """Write the log of a step that has ended anew if fewer lines of it are stored than there are.

    Where they were lost nobody knows: those behind them were stored in their place.
    """
    run = runs.by_external_ids(tx.connection, cluster_id, [whole.run_id]).get(whole.run_id)
    job = runs.jobs_of(tx.connection, [run.id]).get((run.id, whole.job_id)) if run is not None else None
    if run is None or job is None or logs.stored_lines(tx.connection, job.id, whole.step) >= len(whole.lines):
        return
    freed = logs.forget(tx.connection, job.id, whole.step)
    records.change(tx.connection, Run, run.id, {"log_bytes": max(0, run.log_bytes - freed)})
    take(tx, cluster_id, [whole], max_bytes)


def _fitting(lines: list[str], room: int) -> tuple[list[str], int]:
    """The first lines that there is room for, and how much of it they take; each takes one more for its end."""
    size = sum(map(len, lines)) + len(lines)
    if size <= room:
        return lines, size
    size = 0
    for index, line in enumerate(lines):
        if size + len(line) + 1 > room:
            return lines[:index], size
        size += len(line) + 1
    return lines, size


def _missing(tx: Tx, job: Job, part: run_reports.LogPart) -> Iterable[tuple[int, list[str]]]:
    """The runs of lines that are not stored yet: number of the first one, and the lines."""
    if not part.lines:
        return
    last = part.first_line + len(part.lines) - 1
    at = part.first_line
    for first_known, last_known in [
        *logs.overlapping(tx.connection, job.id, part.step, part.first_line, last),
        (last + 1, last + 1),
    ]:
        for start in range(at, min(first_known, last + 1), _CHUNK_LINES):
            end = min(start + _CHUNK_LINES, first_known, last + 1)
            yield start, list(part.lines[start - part.first_line : end - part.first_line])
        at = max(at, last_known + 1)


def _store(tx: Tx, run: Run, job: Job, step: int, first: int, lines: list[str], size: int) -> None:
    last = first + len(lines) - 1
    records.add_many(
        tx.connection,
        LogChunk,
        [
            {
                "job_id": job.id,
                "step": step,
                "first_line": first,
                "last_line": last,
                "org_id": tx.org_id,
                "run_id": run.id,
                "bytes": size,
                "at": tx.now,
                "body": orjson.dumps(redacted_lines(lines)),
            }
        ],
    )
    data = {"run_id": run.id, "job_id": job.id, "step": step, "first_line": first, "last_line": last}
    tx.append(Event(EventType.LOG_APPENDED, data))
