"""Reports and lines as they came, in the pages that the actions take: well-formed, in order, and each run once a page."""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime

from kici_gql.errors import KiciError
from kici_gql.relay import shapes
from kici_gql.relay.messages.telemetry import Job, Lines, Run, Step
from kici_gql.relay.session.effects import Print, Tell
from kici_gql.rules import run_reports
from kici_gql.rules.reports import MAX_CLOCK_SKEW
from kici_gql.store import Tx
from kici_gql.store import logs as log_store
from kici_gql.store import runs as run_store

logger = logging.getLogger("kici_gql.relay")


def turns(effects: Iterable[Tell | Print]) -> Iterator[tuple[list[Run], list[Lines]]]:
    """Reports first, then the lines that came until the next report: a line never comes before its job."""
    told: list[Run] = []
    lines: list[Lines] = []
    for effect in effects:
        if isinstance(effect, Print):
            lines.append(effect.lines)
            continue
        if lines:
            yield told, lines
            told, lines = [], []
        told.extend(effect.runs)
    yield told, lines


def apart(told: Iterable[Run], now: datetime) -> Iterator[list[Run]]:
    """Reports that can be taken at once: well-formed, and each run once."""
    page: dict[str, Run] = {}
    for run in told:
        _forget_times_to_come(run, now)
        try:
            run_reports.check_runs([run])
        except KiciError as error:
            logger.warning("a report of a run was not taken: %s", error.message)
            continue
        if run.run_id in page or len(page) == run_reports.MAX_RUNS:
            yield list(page.values())
            page = {}
        page[run.run_id] = run
    if page:
        yield list(page.values())


def _forget_times_to_come(run: Run, now: datetime) -> None:
    """A clock that is years ahead must not cost the run, nor outweigh all that is told of it from now on."""
    limit = now + MAX_CLOCK_SKEW
    if run.at is not None and run.at > limit:
        run.at = now
    if run.queued_at is not None and run.queued_at > limit:
        run.queued_at = None
    rows: list[Run | Job | Step] = [run, *run.jobs]
    for row in rows + [step for job in run.jobs for step in job.steps]:
        if row.started_at is not None and row.started_at > limit:
            row.started_at = None
        if row.completed_at is not None and row.completed_at > limit:
            row.completed_at = None


def numbered(tx: Tx, cluster_id: str, lines: Iterable[Lines]) -> list[shapes.Part]:
    """The lines behind those that are stored. The wire doesn't number them, and a link never sends one twice."""
    parts: dict[tuple[str, str, int], shapes.Part] = {}
    gathered = list(lines)
    known = run_store.by_external_ids(tx.connection, cluster_id, {each.run_id for each in gathered})
    jobs = run_store.jobs_of(tx.connection, [row.id for row in known.values()])
    for each in gathered:
        run = known.get(each.run_id)
        job = jobs.get((run.id, each.job_id)) if run is not None else None
        if job is None:
            continue
        key = (each.run_id, each.job_id, each.step)
        if key not in parts:
            first = log_store.total_lines(tx.connection, job.id, each.step)
            parts[key] = shapes.Part(*key, first)
        parts[key].lines.extend(each.lines)
    return list(parts.values())
