"""Runs, jobs, steps, and the figures kept of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    bindparam,
    cast,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from kici_gql.store.prepared import prepared_upsert
from kici_gql.store.records import fetch_all, fetch_one, listed
from kici_gql.tables import Job, JobFigures, JobStatus, LogChunk, Run, RunBucket, RunStatus, Step, table_of

_run = table_of(Run)
_job = table_of(Job)
_step = table_of(Step)
_chunk = table_of(LogChunk)
_bucket = table_of(RunBucket)
_figures = table_of(JobFigures)

RUNS = prepared_upsert(Run)
JOBS = prepared_upsert(Job)
STEPS = prepared_upsert(Step)

FIGURES = ("runs", "succeeded", "failed", "cancelled", "timed", "duration_ms")

ACTIVE = (RunStatus.PENDING, RunStatus.HELD, RunStatus.RUNNING, RunStatus.CANCELLING)


def by_external_ids(connection: Connection, cluster_id: str, ids: Collection[str]) -> dict[str, Run]:
    """The cluster's runs of these ids, by the id its orchestrator gave them."""
    rows = fetch_all(connection, _BY_EXTERNAL_IDS, Run, cluster_id=cluster_id, ids=sorted(ids))
    return {row.external_id: row for row in rows}


_BY_EXTERNAL_IDS = select(_run).where(
    _run.c.cluster_id == bindparam("cluster_id"), _run.c.external_id.in_(listed("ids"))
)


def by_external_id(connection: Connection, org_id: str, external_id: str) -> Run | None:
    """The org's run that its orchestrator knows by this id."""
    query = select(_run).where(_run.c.org_id == org_id, _run.c.external_id == external_id).limit(1)
    return fetch_one(connection, query, Run)


def jobs_of(connection: Connection, run_ids: Collection[str]) -> dict[tuple[str, str], Job]:
    """Jobs of these runs, by run and by the id their orchestrator gave them."""
    rows = fetch_all(connection, _JOBS_OF, Job, run_ids=sorted(run_ids))
    return {(row.run_id, row.external_id): row for row in rows}


_JOBS_OF = select(_job).where(_job.c.run_id.in_(listed("run_ids")))


def jobs_by_status(connection: Connection, run_ids: Collection[str]) -> Sequence[tuple[str, JobStatus, int]]:
    """How many jobs of each status these runs have: (run id, status, jobs)."""
    found = connection.execute(_JOBS_BY_STATUS, {"run_ids": sorted(run_ids)})
    return [(run_id, status, number) for run_id, status, number in found]


_JOBS_BY_STATUS = (
    select(_job.c.run_id, _job.c.status, func.count())
    .where(_job.c.run_id.in_(listed("run_ids")))
    .group_by(_job.c.run_id, _job.c.status)
)


def steps_of(connection: Connection, job_ids: Collection[str]) -> Sequence[Step]:
    """Steps of these jobs."""
    return fetch_all(connection, _STEPS_OF, Step, job_ids=sorted(job_ids))


_STEPS_OF = select(_step).where(_step.c.job_id.in_(listed("job_ids")))


def active_of(connection: Connection, workflow_id: str, limit: int) -> Sequence[Run]:
    """The workflow's runs that have not ended."""
    query = (
        select(_run)
        .where(_run.c.workflow_id == workflow_id, _run.c.status.in_(ACTIVE))
        .order_by(_run.c.id)
        .limit(limit)
    )
    return fetch_all(connection, query, Run)


def that_go_on(connection: Connection, org_id: str, cluster_id: str, limit: int) -> list[str]:
    """The ids that their orchestrators gave to the cluster's newest runs that have not ended."""
    query = select(_run.c.external_id).where(
        _run.c.org_id == org_id, _run.c.cluster_id == cluster_id, _run.c.status.in_(ACTIVE)
    )
    return list(connection.scalars(query.order_by(_run.c.id.desc()).limit(limit)))


def without_steps(connection: Connection, org_id: str, cluster_id: str, limit: int) -> list[str]:
    """The ids that their orchestrators gave to those of the cluster's newest runs that have jobs and no steps."""
    newest = (
        select(_run.c.id, _run.c.external_id)
        .where(_run.c.org_id == org_id, _run.c.cluster_id == cluster_id)
        .order_by(_run.c.id.desc())
        .limit(limit)
        .subquery()
    )
    query = select(newest.c.external_id).where(
        select(_job.c.id).where(_job.c.run_id == newest.c.id).exists(),
        ~select(_step.c.id)
        .join(_job, _job.c.id == _step.c.job_id)
        .where(_job.c.run_id == newest.c.id)
        .exists(),
    )
    return list(connection.scalars(query.order_by(newest.c.id.desc())))


def latest(
    connection: Connection, org_id: str, limit: int, conditions: Sequence[ColumnElement[bool]]
) -> Sequence[Run]:
    """The newest runs of the org that fulfil the conditions, newest first."""
    order = _run.c.id.desc()
    found = select(_run.c.id).where(_run.c.org_id == org_id, *conditions).order_by(order).limit(limit)
    return fetch_all(connection, select(_run).where(_run.c.id.in_(found)).order_by(order), Run)


def add_share(connection: Connection, org_id: str, start: datetime, figures: Mapping[str, int]) -> None:
    """Add to the figures of one span, by column; negative ones take away."""
    _add(connection, _bucket, {"org_id": org_id, "start": start}, figures, hour=start.replace(minute=0))


def add_jobs(connection: Connection, org_id: str, queued: int, running: int) -> None:
    """Add to the numbers of jobs that wait and run; negative figures take away."""
    _add(connection, _figures, {"org_id": org_id}, {"queued": queued, "running": running})


def _add(
    connection: Connection, table: Any, key: Mapping[str, Any], values: Mapping[str, int], **fixed: Any
) -> None:
    statement = _adding(table, connection.dialect.name, tuple(key), tuple(values))
    connection.execute(statement, {**key, **values, **fixed})


@cache
def _adding(table: Any, dialect: str, key: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    added = {name: table.c[name] + insert.excluded[name] for name in columns}
    return insert.on_conflict_do_update(index_elements=list(key), set_=added)


def hours(connection: Connection, org_id: str, since: datetime) -> Sequence[tuple[datetime, list[int]]]:
    """`FIGURES` of the spans from `since` on, added up by the hour, oldest first."""
    # Cast, because sums of big integers are decimals on PostgreSQL.
    sums = [cast(func.sum(_bucket.c[name]), BigInteger) for name in FIGURES]
    query = (
        select(_bucket.c.hour, *sums)
        .where(_bucket.c.org_id == org_id, _bucket.c.start >= since)
        .group_by(_bucket.c.hour)
        .order_by(_bucket.c.hour)
    )
    return [(hour, figures) for hour, *figures in connection.execute(query).all()]


def job_figures(connection: Connection, org_id: str) -> tuple[int, int]:
    """How many jobs wait and run now."""
    row = connection.execute(select(_figures).where(_figures.c.org_id == org_id)).first()
    return (row.queued, row.running) if row is not None else (0, 0)


def count_active(connection: Connection, workflow_id: str) -> int:
    query = select(func.count()).where(_run.c.workflow_id == workflow_id, _run.c.status.in_(ACTIVE))
    return connection.execute(query).scalar_one()


def forget_workflow(connection: Connection, workflow_id: str) -> None:
    """Runs outlive their workflow; they keep its name."""
    connection.execute(update(_run).where(_run.c.workflow_id == workflow_id).values(workflow_id=None))


def find_job(connection: Connection, org_id: str, run: str, job: str) -> Job | None:
    """A job by its own id or its orchestrator's, in a run by its own id or its orchestrator's."""
    query = (
        select(_job)
        .join(_run, _run.c.id == _job.c.run_id)
        .where(
            _run.c.org_id == org_id,
            or_(_run.c.id == run, _run.c.external_id == run),
            or_(_job.c.id == job, _job.c.external_id == job),
        )
        .limit(1)
    )
    return fetch_one(connection, query, Job)


def trim(connection: Connection, org_id: str, ended_before: datetime, limit: int) -> int:
    """Remove at most `limit` runs that ended long ago, with all that belongs to them. Returns how many went."""
    old = select(_run.c.id).where(
        _run.c.org_id == org_id,
        _run.c.queued_at < ended_before,  # an index knows this; when a run ended may never have been told
        _run.c.updated_at < ended_before,
        _run.c.status.not_in(ACTIVE),
    )
    doomed = connection.scalars(old.order_by(_run.c.queued_at).limit(limit)).all()
    if doomed:
        for table in (_chunk, _step, _job):
            connection.execute(delete(table).where(table.c.run_id.in_(doomed)))
        connection.execute(delete(_run).where(_run.c.id.in_(doomed)))
    connection.execute(delete(_bucket).where(_bucket.c.org_id == org_id, _bucket.c.start < ended_before))
    return len(doomed)
