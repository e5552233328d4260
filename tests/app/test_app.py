"""The application put together: what it prepares, what it answers about itself, and what it does by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from kici_gql.actions import alerts
from kici_gql.api.mutations.inputs import ReportedAlertInput
from kici_gql.app import create_app, health, prepare
from kici_gql.app.chores import Chores
from kici_gql.auth import Authenticator
from kici_gql.errors import InvalidInput, Unavailable
from kici_gql.events import Event, EventType
from kici_gql.settings import Settings
from kici_gql.store import Store
from kici_gql.tables import (
    Agent,
    Alert,
    AlertSeverity,
    Audit,
    Command,
    Idempotency,
    Job,
    JobStatus,
    LogChunk,
    Orchestrator,
    Run,
    RunBucket,
    RunStatus,
    Scaler,
    Step,
    Token,
)
from tests.running import cluster, job_of, part_of, run_of, step_of
from tests.world import Clock, World, agent, scaler, secret_of, world_of


@contextlib.asynccontextmanager
async def client_of(
    app: Starlette, scope: str = "ADMIN", org: str = "default"
) -> AsyncIterator[httpx.AsyncClient]:
    """The app with its lifespan, without a server."""
    headers = {"Authorization": f"Bearer {secret_of(scope, org)}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers
        ) as client,
    ):
        yield client


async def query(client: httpx.AsyncClient, document: str) -> Any:
    return (await client.post("/graphql", json={"query": document})).json()


async def test_an_empty_database_gets_one_token_once(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path}/new.db")
    secret = await prepare(settings)
    assert secret
    assert await prepare(settings) is None
    async with client_of(create_app(settings)) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        answer = await query(client, "{ viewer { scope org { slug } } }")
    assert answer == {"data": {"viewer": {"scope": "ADMIN", "org": {"slug": "default"}}}}


@pytest.mark.parametrize("token", ["kgq_fixed-for-automation-0123", "unfit"])
async def test_a_token_fixed_for_automation(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KICI_GQL_BOOTSTRAP_TOKEN", token)
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path}/new.db")
    if token == "unfit":
        with pytest.raises(InvalidInput):
            await prepare(settings)
    else:
        assert await prepare(settings) == token


async def test_two_apps_live_in_one_process(sqlite_url: str, tmp_path: Path) -> None:
    other = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path}/other.db")
    await prepare(other)
    async with (
        client_of(create_app(Settings(database_url=sqlite_url))) as one,
        client_of(create_app(other)) as two,
    ):
        assert (await one.post("/graphql", json={"query": "{ viewer { scope } }"})).status_code == 200
        assert (await two.post("/graphql", json={"query": "{ viewer { scope } }"})).status_code == 401


async def test_how_it_is(database_url: str) -> None:
    app = create_app(Settings(database_url=database_url))
    async with client_of(app) as client:
        assert (await client.get("/healthz")).text == "ok\n"
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        diagnosed = await client.get("/health")  # what `kici-admin diagnose` asks of the Platform
        assert (diagnosed.status_code, diagnosed.json()) == (200, ready.json())
        await query(client, "{ viewer { scope } }")
        metrics = (await client.get("/metrics")).text
        for name in (
            "kici_gql_info",
            "kici_gql_connections",
            "kici_gql_commits_total",
            "kici_gql_bus_connected",
        ):
            assert name in metrics
        await app.state.drain()
        stopping = await client.get("/readyz")
        assert (stopping.status_code, stopping.json()["problems"]) == (503, ["stopping"])


async def test_not_ready_without_a_database(postgres_template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import POSTGRES, postgres

    name = f"{postgres_template}_gone"
    postgres(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    async with client_of(
        create_app(Settings(database_url=f"postgresql+asyncpg://{POSTGRES}/{name}"))
    ) as client:
        assert (await client.get("/readyz")).status_code == 200
        await asyncio.to_thread(postgres, f"DROP DATABASE {name} WITH (FORCE)")
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["problems"]) == (503, ["database"])
        failed = await client.post("/graphql", json={"query": "{ org { id } }"})
        assert POSTGRES not in failed.text
        assert "Traceback" not in failed.text


async def test_not_ready_while_the_database_is_silent(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    async with client_of(create_app(Settings(database_url=sqlite_url))) as client:
        with monkeypatch.context() as patch:
            patch.setattr(health, "PING_SECONDS", 0.05)
            patch.setattr(Store, "read", silent)
            answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["database"])


async def test_there_is_no_introspection_without_a_token(sqlite_url: str) -> None:
    async with client_of(create_app(Settings(database_url=sqlite_url))) as client:
        del client.headers["Authorization"]
        answer = await client.post("/graphql", json={"query": "{ __schema { types { name } } }"})
        assert answer.status_code == 401
    async with client_of(create_app(Settings(database_url=sqlite_url, demo=True))) as client:
        del client.headers["Authorization"]
        answer = await client.post("/graphql", json={"query": "{ __schema { queryType { name } } }"})
        assert answer.json()["data"]
        answer = await client.post("/graphql", json={"query": "{ org { id } }"})
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


# ── Chores ──


def chores_of(world: World, door: Authenticator | None = None, **settings: Any) -> Chores:
    return Chores(
        world.store,
        world.settings.model_copy(update=settings),
        door or Authenticator(world.store, world.feed.watch),
    )


async def housekeep(world: World, door: Authenticator | None = None, **settings: Any) -> None:
    await chores_of(world, door, **settings)._housekeep()  # noqa: SLF001 - what the background task does each minute


async def test_nobody_is_lost_because_the_machine_slept(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None)])
    await world.beat(connection, ["a1"])
    chores = chores_of(world)
    sweep = chores._sweep  # noqa: SLF001 - what the background task does each second
    await sweep()
    clock.advance(8 * 3600)
    position = await world.head()
    await sweep()
    assert await world.head() == position
    for seconds, state in (
        (9, "ONLINE"),
        *[(10, "ONLINE")] * 5,
        (10, "LATE"),
        *[(10, "LATE")] * 11,
        (10, "LOST"),
    ):
        clock.advance(seconds)
        await sweep()
        assert [row.liveness for row in await world.rows(Agent)] == [state]


async def test_who_is_silent_while_the_server_looks_is_lost(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None)])
    await world.beat(connection, ["a1"])
    chores = Chores(world.store, world.settings, Authenticator(world.store, world.feed.watch))
    for _ in range(19):
        clock.advance(10)
        await chores._sweep()  # noqa: SLF001 - as above
    assert [row.liveness for row in await world.rows(Agent)] == ["LOST"]


async def test_what_is_old_goes(any_world: World, clock: Clock) -> None:
    await any_world.connect(idempotency_key="k")
    await any_world.append(Event(EventType.ALERT_CHANGED, {"id": "old"}))
    clock.advance(25 * 3600)
    await any_world.append(Event(EventType.ALERT_CHANGED, {"id": "new"}))
    await housekeep(any_world, log_retention_hours=24, audit_retention_days=1, idempotency_hours=24)
    assert [event.data["id"] for _, event in await any_world.events()] == ["new"]
    assert await any_world.rows(Idempotency) == []
    assert await any_world.rows(Audit) == []


async def test_what_is_too_much_goes(any_world: World) -> None:
    for number in range(1500):
        if number % 100 == 0:
            await any_world.append(*[Event(EventType.ALERT_CHANGED, {"id": str(number)})] * 100)
    await housekeep(any_world, log_retention_events=1000)
    assert len(await any_world.events()) == 1000


async def test_old_runs_go_with_all_that_is_theirs(any_world: World, clock: Clock) -> None:
    home = await cluster(any_world)
    job = job_of(status=JobStatus.RUNNING, steps=[step_of(0)])
    await home.report(
        *(run_of(f"old-{n}", RunStatus.RUNNING, jobs=[job], queued_at=clock()) for n in range(3))
    )
    await home.log(part_of(0, ["a line"], run="old-0"))
    await home.report(run_of("old-0", RunStatus.SUCCESS), run_of("old-1", RunStatus.FAILED))
    clock.advance(32 * 86_400)
    await home.report(run_of("new", RunStatus.SUCCESS, jobs=[job], queued_at=clock()))
    await housekeep(any_world, run_retention_days=31, run_log_retention_days=100)
    runs = {run.id: run.external_id for run in await any_world.rows(Run)}
    assert sorted(runs.values()) == ["new", "old-2"], "what has not ended is not old"
    for table in (Job, Step):
        assert {row.run_id for row in await any_world.rows(table)} == set(runs)
    assert await any_world.rows(LogChunk) == []
    [bucket] = await any_world.rows(RunBucket)
    assert bucket.succeeded == 1


async def test_old_commands_go_when_they_have_ended(any_world: World, clock: Clock) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    ended = await home.run_now(workflow)
    await home.answer(ended.result["command_id"], succeeded=False)
    waits = await home.run_now(workflow)
    clock.advance(32 * 86_400)
    new = await home.run_now(workflow)
    await home.answer(new.result["command_id"], succeeded=False)
    await housekeep(any_world, run_retention_days=31)
    kept = {row.id for row in await any_world.rows(Command)}
    assert kept == {waits.result["command_id"], new.result["command_id"]}


async def test_orchestrators_that_have_long_been_away_go_with_all_that_is_theirs(
    any_world: World, clock: Clock
) -> None:
    world = any_world
    gone = await cluster(world, instance="gone")
    await gone.run_now(await gone.workflow())
    connection = await world.connect("prod", "gone", scalers=[scaler()], agents=[agent("a1")])
    told = ReportedAlertInput(dedupe_key="d", severity=AlertSeverity.WARNING, message="disk full")
    await alerts.report(world.call("ORCHESTRATOR"), connection, [told])
    stays = await world.connect("prod", "stays")
    chores = chores_of(world)
    before = 0
    for days in (1, 6, 2):
        clock.advance(days * 86_400)
        await world.beat(stays)
        await world.sweep()
        before = (await world.head()).seq
        await chores._housekeep()  # noqa: SLF001 - what the background task does each minute
        if days != 2:
            assert (await world.head()).seq == before, "it may still come back"
    assert [row.instance_id for row in await world.rows(Orchestrator)] == ["stays"]
    for table in (Agent, Scaler, Command):
        assert await world.rows(table) == []
    assert {row.kind.value: row.state.value for row in await world.rows(Alert)} == {
        "ORCHESTRATOR_DISCONNECTED": "RESOLVED",
        "REPORTED": "RESOLVED",
    }
    assert [run.workflow_name for run in await world.rows(Run)] == ["build"]
    types = {event.type for seq, event in await world.events() if seq > before}
    assert {EventType.ORCHESTRATOR_REMOVED, EventType.SCALER_REMOVED, EventType.AGENT_REMOVED} < types
    await world.connect("prod", "gone")
    assert len(await world.rows(Orchestrator)) == 2


async def test_nobody_is_forgotten_because_this_server_was_away(world: World, clock: Clock) -> None:
    await world.connect()
    clock.advance(30 * 86_400)
    chores = chores_of(world)
    await world.sweep()
    await chores._housekeep()  # noqa: SLF001 - what the background task does each minute
    assert len(await world.rows(Orchestrator)) == 1


async def test_what_is_fresh_stays(any_world: World) -> None:
    await any_world.connect(idempotency_key="k")
    before = await any_world.dump()
    await housekeep(any_world)
    assert await any_world.dump() == before


async def test_tokens_tell_when_they_were_used(any_world: World, clock: Clock) -> None:
    door = Authenticator(any_world.store, any_world.feed.watch)
    clock.advance(100)
    for org in ("default", "other"):
        await door.authenticate(secret_of("VIEWER", org))
    await housekeep(any_world, door)
    used = {row.id: row.last_used_at for row in await any_world.rows(Token) if row.last_used_at}
    assert used == {any_world.viewer("VIEWER", org).token_id: clock() for org in ("default", "other")}


@pytest.mark.parametrize(
    ("failure", "traced"),
    [(ValueError("wrong"), True), (Unavailable("the database can't be reached"), False)],
)
async def test_a_chore_that_fails_is_done_again(
    failure: Exception,
    traced: bool,
    sqlite_url: str,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from kici_gql.app import chores as module

    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.02)
    async with world_of(Settings(database_url=sqlite_url), clock) as world:
        chores = Chores(world.store, world.settings, Authenticator(world.store, world.feed.watch))
        calls = 0

        async def failing() -> float:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise failure
            return 0.02

        monkeypatch.setattr(chores, "_sweep", failing)
        chores.start()
        async with asyncio.timeout(60):
            while calls < 3:  # noqa: ASYNC110 - there is nothing to wait on
                await asyncio.sleep(0.01)
        await chores.stop()
    assert "a chore failed" in caplog.text
    assert ("Traceback" in caplog.text) == traced, "an outage is told in a line"
