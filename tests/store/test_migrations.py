import asyncio
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from kici_gql.store import migrations
from kici_gql.tables import Agent, JobFigures, Orchestrator, table_of
from tests.conftest import POSTGRES, postgres


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
    return list(compare_metadata(context, SQLModel.metadata))


async def test_migrations_make_what_the_models_say(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_check_constraints_are_there_too(sqlite_url: str) -> None:
    """compare_metadata does not look at CHECK."""
    wanted = sum(
        type(each).__name__ == "CheckConstraint"
        for table in SQLModel.metadata.sorted_tables
        for each in table.constraints
    )
    with sqlite3.connect(sqlite_url.partition("///")[2]) as connection:
        [(made,)] = connection.execute("SELECT group_concat(sql, ' ') FROM sqlite_master")
    connection.close()
    assert made.count("CHECK") >= wanted


async def test_upgrading_again_is_harmless(database_url: str) -> None:
    await migrations.upgrade(database_url)
    await migrations.upgrade(database_url)


def test_the_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(migrations.config()).get_heads() == [migrations.HEAD]


async def test_a_database_at_the_head_is_let_be(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(command, "upgrade")
    await migrations.upgrade(database_url)


async def test_a_database_of_a_newer_release_is_refused(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(CommandError, match="9999"):
            await migrations.upgrade(database_url)
    finally:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{migrations.HEAD}'")
        await engine.dispose()


NOW = datetime(2026, 1, 1, tzinfo=UTC)
_HOST = {
    "version": "1",
    "hostname": "h",
    "running_as": "ci",
    "platform": "linux",
    "arch": "x",
    "cpu_count": 1,
}
_HEARD = {"memory_used_mb": 7, "memory_total_mb": 9, "uptime_seconds": 5, "liveness": "ONLINE", "liveness_reason": "",
          "liveness_since": NOW, "missed_beats": 0, "last_heartbeat_at": NOW, "due_at": NOW, "revision": 1}  # fmt: skip
_PARENTS = {"org_id": "org_1", "cluster_id": "clu_1"}
_AGENT = {**_PARENTS, **_HOST, **_HEARD, "orchestrator_id": "orc_1", "labels": [], "active_jobs": 2, "paused": False,
          "max_concurrency": 1, "first_seen_at": NOW}  # fmt: skip
FLEET_OF_0001: dict[str, list[dict[str, Any]]] = {
    "org": [{"id": "org_1", "slug": "s", "name": "n", "created_at": NOW, "log_epoch": "e", "first_seq": 1, "last_seq": 5}],
    "cluster": [{"id": "clu_1", "org_id": "org_1", "name": "c", "auto_named": False, "created_at": NOW, "revision": 1}],
    "orchestrator": [
        {**_PARENTS, **_HOST, **_HEARD, "id": "orc_1", "instance_id": "one", "instance_named": True,
         "connection_id": "x", "role": "COORDINATOR", "mode": "hybrid", "routing_keys": [], "capabilities": [],
         "running_jobs": 0, "queued_jobs": 0, "connected_at": NOW, "due_at": None}
    ],
    "agent": [
        {**_AGENT, "id": "agt_1", "agent_id": "a1"},
        {**_AGENT, "id": "agt_2", "agent_id": "a2", "last_heartbeat_at": None, "liveness": "NEVER_SEEN"},
    ],
}  # fmt: skip


def fill_0001(connection: Connection) -> None:
    """A fleet as the first release kept it."""
    settings = migrations.config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "0001")
    metadata = MetaData()
    metadata.reflect(connection)
    for name, rows in FLEET_OF_0001.items():
        connection.execute(insert(metadata.tables[name]), rows)


async def test_figures_of_agents_survive_their_move(empty_url: str) -> None:
    engine = create_async_engine(empty_url)
    async with engine.begin() as connection:
        await connection.run_sync(fill_0001)
    await migrations.upgrade(empty_url)
    async with engine.begin() as connection:
        agents = (await connection.execute(select(table_of(Agent)))).all()
        assert [(row.id, row.memory_used_mb, row.active_jobs) for row in agents] == [
            ("agt_1", 7, 2),
            ("agt_2", 0, 0),
        ]
        assert [row.last_heartbeat_at for row in agents] == [NOW, None]
        [due] = (await connection.execute(select(table_of(Orchestrator).c.due_at))).scalars()
        assert due == NOW, "whoever was waited for still is"
        assert await connection.run_sync(differences) == []
        with pytest.raises(IntegrityError):
            await connection.exec_driver_sql("UPDATE agent SET max_concurrency = 0")
    await engine.dispose()


def fill_0008(connection: Connection) -> None:
    """A run that goes on and one that has ended, each with a job of either kind, all of them counted."""
    fill_0001(connection)
    settings = migrations.config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "0008")
    metadata = MetaData()
    metadata.reflect(connection)
    parents = {"org_id": "org_1", "cluster_id": "clu_1", "stamps": {}, "revision": 1}
    runs = [
        {**parents, "id": run, "external_id": run, "workflow_name": "w", "status": status, "status_by_server": False,
         "inputs": {}, "queued_at": NOW, "updated_at": NOW, "duration_order_ms": -1, "log_bytes": 0}
        for run, status in (("run_on", "RUNNING"), ("run_over", "CANCELLED"))
    ]  # fmt: skip
    jobs = [
        {**parents, "id": f"{run['id']}{status}", "run_id": run["id"], "external_id": status, "name": "j",
         "status": status, "runs_on": []}
        for run in runs for status in ("QUEUED", "RUNNING", "SUCCESS")
    ]  # fmt: skip
    figures = [{"org_id": "org_1", "queued": 2, "running": 2}]
    for name, rows in {"run": runs, "job": jobs, "job_figures": figures}.items():
        connection.execute(insert(metadata.tables[name]), rows)


async def test_jobs_of_runs_that_had_ended_count_no_more(empty_url: str) -> None:
    engine = create_async_engine(empty_url)
    async with engine.begin() as connection:
        await connection.run_sync(fill_0008)
    await migrations.upgrade(empty_url)
    async with engine.begin() as connection:
        [figures] = (await connection.execute(select(table_of(JobFigures)))).all()
        assert (figures.queued, figures.running) == (1, 1)
    await engine.dispose()


async def test_several_processes_may_upgrade_at_once(postgres_template: str) -> None:
    name = f"{postgres_template}_upgrade"
    postgres(f"CREATE DATABASE {name}")
    try:
        url = f"postgresql+asyncpg://{POSTGRES}/{name}"
        await asyncio.gather(*(migrations.upgrade(url) for _ in range(4)))
    finally:
        postgres(f"DROP DATABASE {name} WITH (FORCE)")
