"""100 000 runs with 300 000 jobs: first pages, deep pages and metrics through the GraphQL API, and query plans.

Goal: any two filters, any order, and the metrics under 50 ms each at p95; a deep page costs what the first one costs.
Runs in one process without a transport, so the figures are those of the API and the database. The name of a
folder as BENCH_DATABASE keeps the SQLite database there for the next time; the URL of an empty PostgreSQL database measures that one.
"""

import asyncio
import itertools
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, event

from kici_gql.actions.listeners import Listeners
from kici_gql.actions.surfaces import Surfaces
from kici_gql.api.context import Context, Services
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.api.schema import schema
from kici_gql.app import prepare
from kici_gql.auth import Viewer, hash_of, viewer_of
from kici_gql.feed import Feed
from kici_gql.rules import metrics
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, orgs, records, runs
from kici_gql.tables import Cluster, Job, JobStatus, Prefix, Run, RunStatus, new_id
from tests.bench.harness import headline, percentile, repeats, table

RUNS, JOBS_PER_RUN, SPAN = 100_000, 3, timedelta(days=30)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = "kgq_" + "b" * 40
PAGES = 150

FIELDS = """id status workflowName repository branch commitSha triggerType triggeredBy queuedAt startedAt completedAt
  durationMs failureReason cluster { name }"""
PAGE = f"""query ($where: RunWhere, $order: RunOrderFieldOrder, $first: Int, $after: String, $last: Int, $before: String) {{
  org {{ runs(where: $where, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {{
    nodes {{ {FIELDS} }} pageInfo {{ hasNextPage endCursor startCursor }} }} }} }}"""
JOBS = """{ org { runs(first: 50) { nodes { id jobs { id name status durationMs } } } } }"""
METRICS = """query ($hours: Int!) { org { executionMetrics(windowHours: $hours) { totalRuns successRate averageDurationMs
  queuedJobs runningJobs series { at runs succeeded failed cancelled averageDurationMs } } } }"""

# A value that many runs have, one that some have, and one that few have.
FILTERS: dict[str, list[Any]] = {
    "status": [["SUCCESS"], ["FAILED", "CANCELLED"], ["RUNNING"]],
    "workflowName": [{"eq": "workflow-0"}, {"eq": "workflow-49"}, {"contains": "FLOW-3"}],
    "branch": [{"eq": "main"}, {"eq": "feature/7"}, {"oneOf": ["feature/1", "feature/199"]}],
    "repository": [{"eq": "acme/repo-0"}, {"eq": "acme/repo-19"}, {"contains": "repo-1"}],
    "triggerType": [{"eq": "push"}, {"eq": "schedule"}, {"oneOf": ["manual", "rerun"]}],
    "clusterName": ["cluster-0", "cluster-4", "cluster-1"],
    "workflowId": ["wfl_0", "wfl_49", "wfl_7"],
}
ORDERS = [
    {"field": field, "direction": direction}
    for field in ("CREATED_AT", "QUEUED_AT", "DURATION")
    for direction in ("ASC", "DESC")
]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kici-bench-") as folder:
        where = os.environ.get("BENCH_DATABASE", folder)
        sqlite = "://" not in where
        headline(f"{RUNS:,} runs with {RUNS * JOBS_PER_RUN:,} jobs in {'SQLite' if sqlite else 'PostgreSQL'}")
        for _ in range(repeats()):
            asyncio.run(_measure(f"sqlite+aiosqlite:///{where}/bench.db" if sqlite else where))


class Bench:
    """The API on a full database."""

    def __init__(self, store: Store, operations: Operations, viewer: Viewer) -> None:
        self.store = store
        self.operations = operations
        self.viewer = viewer
        self.statements: list[tuple[str, Any]] = []

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        prepared = self.operations.prepare(GraphQLRequest(query, None, variables))
        answer = orjson.loads((await self.operations.run(prepared, self.viewer)).body)
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        org: dict[str, Any] = answer["data"]["org"]
        return org

    async def timed(self, query: str, **variables: Any) -> float:
        """Time that an answer takes, in ms."""
        begun = time.perf_counter()
        await self.ask(query, **variables)
        return (time.perf_counter() - begun) * 1000

    async def plan(self) -> str:
        """The plan of the last statement about runs, jobs or figures."""
        wanted = [each for each in self.statements if "FROM run" in each[0] or "FROM job" in each[0]]
        statement, parameters = wanted[-1]
        plan = await self.store.read(_explain, statement, parameters)
        self.statements.clear()
        return plan


async def _measure(url: str) -> None:
    settings = Settings(database_url=url, bootstrap_token=SecretStr(TOKEN))
    await prepare(settings)
    store = Store(settings, lambda: NOW)
    feed = Feed(store, settings.broadcast_url, settings.tail_events)
    await store.open()
    found = await store.read(orgs.token_by_hash, hash_of(TOKEN))
    assert found is not None
    viewer = viewer_of(*found)
    if not await store.read(runs.latest, viewer.org_id, 1, ()):
        await _fill(store, viewer.org_id)
        if not settings.is_sqlite:  # it would do so by itself within a minute
            await store.transaction(None, lambda tx: tx.connection.exec_driver_sql("ANALYZE"))
    services = Services(
        store, feed, settings, Surfaces(store, feed), Listeners(store, settings, "bench"), "bench"
    )
    operations = Operations(schema, lambda viewer, request_id: Context(services, viewer, request_id))
    bench = Bench(store, operations, viewer)
    try:
        _listen(bench)
        await _first_pages(bench)
        await _deep_pages(bench)
        await _others(bench)
    finally:
        await store.close()


async def _first_pages(bench: Bench) -> None:
    """Every pair of filters with every combination of their values, in every order, from both ends."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    plans: defaultdict[str, list[str]] = defaultdict(list)
    worst: list[tuple[float, str]] = []
    for order in ORDERS:
        name = f"{order['field']} {order['direction']}"
        for where in _wheres():
            window = {"first": 50} if len(times[name]) % 4 else {"last": 50}
            took = await bench.timed(PAGE, where=where, order=order, **window)
            times[name].append(took)
            text = f"{name} {orjson.dumps(where).decode()} {next(iter(window))}"
            worst.append((took, text))
            plans[await bench.plan()].append(text)
    print("First page of 50 by any one or two filters, ms:\n")
    table(
        ("order", "queries", "p50", "p95", "p99", "worst"),
        [
            (
                name,
                len(each),
                percentile(each, 0.5),
                percentile(each, 0.95),
                percentile(each, 0.99),
                max(each),
            )
            for name, each in [*times.items(), ("all", [t for each in times.values() for t in each])]
        ],
    )
    print("The ten slowest:\n")
    table(("ms", "query"), [(ms, text) for ms, text in sorted(worst, reverse=True)[:10]])
    print("Query plans, and how many of the queries used each:\n")
    table(("queries", "plan", "such as"), sorted(((len(v), k, v[0]) for k, v in plans.items()), reverse=True))


async def _deep_pages(bench: Bench) -> None:
    rows = []
    wheres = [{}, {"status": ["SUCCESS"]}, {"branch": {"eq": "main"}, "triggerType": {"eq": "push"}}]
    for order, where in itertools.product(ORDERS, wheres):
        cursor, times = None, []
        for _ in range(PAGES):
            begun = time.perf_counter()
            org = await bench.ask(PAGE, where=where, order=order, first=100, after=cursor)
            times.append((time.perf_counter() - begun) * 1000)
            cursor = org["runs"]["pageInfo"]["endCursor"]
            if not org["runs"]["pageInfo"]["hasNextPage"]:
                break
        first, deep = times[:20], times[-20:]
        name = f"{order['field']} {order['direction']}"
        text = orjson.dumps(where).decode()
        rows.append((name, text, len(times), percentile(first, 0.5), percentile(deep, 0.5)))
    print("Pages of 100 in a row, ms:\n")
    table(("order", "where", "pages", "p50 of the first 20", "p50 of the last 20"), rows)


async def _others(bench: Bench) -> None:
    rows: list[tuple[object, ...]] = []
    for name, query, variables in (
        ("executionMetrics 24 h", METRICS, {"hours": 24}),
        ("executionMetrics 31 days", METRICS, {"hours": 24 * 31}),
        ("50 runs with their jobs", JOBS, {}),
        ("totalCount", "{ org { runs { totalCount } } }", {}),
        ("totalCount, two filters", '{ org { runs(where: {status: [FAILED], branch: {eq: "main"}}) { totalCount } } }', {}),
        ("run by its orchestrator's id", '{ org { run(id: "external-77777") { id } } }', {}),
        ("run with an unknown id", '{ org { run(id: "nobody") { id } } }', {}),
    ):  # fmt: skip
        times = [await bench.timed(query, **variables) for _ in range(20)]
        rows.append((name, percentile(times, 0.5), percentile(times, 0.95), await bench.plan()))
    print("Others, ms:\n")
    table(("query", "p50", "p95", "plan"), rows)


def _wheres() -> Iterable[dict[str, Any]]:
    for name, values in FILTERS.items():
        for value in values:
            yield {name: value}
    for one, other in itertools.combinations(FILTERS, 2):
        for value, second in itertools.product(FILTERS[one], FILTERS[other]):
            yield {one: value, other: second}


def _listen(bench: Bench) -> None:
    @event.listens_for(Engine, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        bench.statements.append((statement, parameters))


def _explain(connection: Connection, statement: str, parameters: Any) -> str:
    if connection.dialect.name == "sqlite":
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "; ".join(step[3] for step in steps)
    steps = connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {statement}", parameters)
    lines = [step[0].strip().removeprefix("->").strip() for step in steps]
    return "; ".join(
        line for line in lines if "Scan " in line or line == "Sort"
    )  # conditions quote each value


async def _fill(store: Store, org_id: str) -> None:
    rng = random.Random(7)

    def clusters(tx: Tx) -> list[str]:
        rows = [
            Cluster(id=new_id(Prefix.CLUSTER, NOW), org_id=org_id, name=f"cluster-{n}", created_at=NOW)
            for n in range(5)
        ]
        records.add_many(tx.connection, Cluster, [row.model_dump() for row in rows])
        return [row.id for row in rows]

    ids = await store.transaction(org_id, clusters)
    for start in range(0, RUNS, 5000):
        made = [_run(rng, org_id, ids, number) for number in range(start, start + 5000)]
        await store.transaction(org_id, partial(_write, rng=rng, made=made))


def _run(rng: random.Random, org_id: str, clusters: Sequence[str], number: int) -> Run:
    queued = NOW - SPAN * (1 - number / RUNS) + timedelta(seconds=rng.uniform(-60, 60))
    young = number > RUNS - 500
    status = rng.choice([RunStatus.PENDING, RunStatus.RUNNING]) if young else _weighted(rng, _STATUSES)
    duration = None if young else int(rng.lognormvariate(11, 1))
    workflow = min(49, int(rng.expovariate(0.1)))
    return Run(
        id=new_id(Prefix.RUN, queued),
        org_id=org_id,
        cluster_id=clusters[min(4, int(rng.expovariate(0.7)))],
        external_id=f"external-{number}",
        workflow_id=f"wfl_{workflow}",
        workflow_name=f"workflow-{workflow}",
        status=status,
        repository=f"acme/repo-{workflow % 20}",
        branch="main" if rng.random() < 0.5 else f"feature/{rng.randrange(200)}",
        commit_sha=f"{rng.getrandbits(160):040x}",
        commit_message="Make the thing do what it says, and say what it does",
        trigger_type=_weighted(rng, _TRIGGERS),
        triggered_by=f"person-{rng.randrange(50)}",
        inputs={},
        queued_at=queued,
        started_at=queued + timedelta(seconds=3),
        completed_at=None if duration is None else queued + timedelta(milliseconds=duration + 3000),
        duration_ms=duration,
        duration_order_ms=-1 if duration is None else duration,
        updated_at=queued,
        stamps={"status": 1, "branch": 1, "repository": 1, "started_at": 1, "completed_at": 1},
    )


_STATUSES = {RunStatus.SUCCESS: 80, RunStatus.FAILED: 15, RunStatus.CANCELLED: 5}
_TRIGGERS = {"push": 60, "pr": 25, "schedule": 10, "manual": 4, "rerun": 1}


def _weighted(rng: random.Random, weights: dict[Any, int]) -> Any:
    return rng.choices(list(weights), list(weights.values()))[0]


def _write(tx: Tx, rng: random.Random, made: Sequence[Run]) -> None:
    records.add_many(tx.connection, Run, [row.model_dump() for row in made])
    jobs, figures = [], [0, 0]
    for run in made:
        for number in range(JOBS_PER_RUN):
            status = JobStatus(run.status.value)
            share = metrics.job_share(status)
            figures = [figures[0] + share[0], figures[1] + share[1]]
            job = Job(
                id=new_id(Prefix.JOB, run.queued_at),
                org_id=run.org_id,
                cluster_id=run.cluster_id,
                run_id=run.id,
                external_id=f"job-{number}",
                name=f"job {number}",
                status=status,
                agent_id=f"agent-{rng.randrange(100)}",
                runs_on=["linux"],
                started_at=run.started_at,
                completed_at=run.completed_at,
                duration_ms=run.duration_ms,
                stamps={"status": 1},
            )
            jobs.append(job.model_dump())
    records.add_many(tx.connection, Job, jobs)
    _count(tx.connection, made)
    runs.add_jobs(tx.connection, tx.org_id, *figures)


def _count(connection: Connection, made: Sequence[Run]) -> None:
    shares: defaultdict[datetime, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for run in made:
        share = metrics.share_of(run.status, run.duration_ms)
        for name in share._fields:
            shares[metrics.bucket_of(run.queued_at)][name] += getattr(share, name)
    for start, figures in shares.items():
        runs.add_share(connection, made[0].org_id, start, figures)


if __name__ == "__main__":
    main()
