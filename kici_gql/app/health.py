"""`/healthz`, `/readyz`, `/metrics`: for load balancers, supervisors and Prometheus."""

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kici_gql import __version__
from kici_gql.api.transport.gate import Gate
from kici_gql.errors import KiciError
from kici_gql.feed import Feed
from kici_gql.store import Store


def health_routes(store: Store, feed: Feed, gate: Gate) -> list[Route]:
    registry = CollectorRegistry()
    registry.register(_Figures(store, feed, gate))

    async def healthz(_: Request) -> Response:
        """The process runs."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """The process can serve: its database answers and nobody has asked it to stop."""
        problems = [] if await _answers(store) else ["database"]
        if gate.draining:
            problems.append("stopping")
        body = {"ready": not problems, "problems": problems, "bus": feed.bus.connected.is_set()}
        return JSONResponse(body, status_code=503 if problems else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


class _Figures(Collector):
    """Read when asked for, so that nothing is counted twice."""

    def __init__(self, store: Store, feed: Feed, gate: Gate) -> None:
        self._store = store
        self._feed = feed
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("kici_gql_info", "The program.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily(
            "kici_gql_connections", "Open sockets and event streams.", self._gate.connections
        )
        counts = self._store.counts
        yield CounterMetricFamily("kici_gql_transactions", "Transactions committed.", counts.transactions)
        yield CounterMetricFamily(
            "kici_gql_transactions_failed", "Transactions refused or failed.", counts.failed
        )
        yield CounterMetricFamily(
            "kici_gql_commits", "Commits; several transactions share one.", counts.commits
        )
        yield CounterMetricFamily("kici_gql_events", "Events appended to the logs.", counts.events)
        yield CounterMetricFamily(
            "kici_gql_bus_restarts", "Times the bus was connected anew.", self._feed.bus.restarts
        )
        bus = float(self._feed.bus.connected.is_set())
        yield GaugeMetricFamily("kici_gql_bus_connected", "1 while the bus echoes.", bus)


async def _answers(store: Store) -> bool:
    try:
        await store.read(_ping)
    except (SQLAlchemyError, KiciError):
        return False
    return True


def _ping(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
