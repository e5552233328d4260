"""`/healthz`, `/readyz`, `/metrics`: for load balancers, supervisors and Prometheus."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kici_gql import __version__
from kici_gql.api.engine.groups import Groups
from kici_gql.api.engine.kept import KeptAnswers
from kici_gql.api.transport.gate import Gate
from kici_gql.errors import KiciError
from kici_gql.feed import Feed
from kici_gql.relay import RelayEndpoint
from kici_gql.store import Store

PING_SECONDS = 2.0
"""How long `/readyz` waits for the database: whoever asks has little patience, too."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of the program that have something to tell of themselves."""

    store: Store
    feed: Feed
    gate: Gate
    groups: Groups
    kept: KeptAnswers
    relay: RelayEndpoint


def health_routes(observed: Observed) -> list[Route]:
    registry = CollectorRegistry()
    registry.register(_Figures(observed))

    async def healthz(_: Request) -> Response:
        """The process runs."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """The process can serve: its database answers and nobody has asked it to stop."""
        problems = [] if await _answers(observed.store) else ["database"]
        if observed.gate.draining:
            problems.append("stopping")
        body = {
            "ready": not problems,
            "problems": problems,
            "bus": observed.feed.bus.connected.is_set(),
            "writes": observed.store.writes,
        }
        return JSONResponse(body, status_code=503 if problems else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route(
            "/health", readyz
        ),  # where `kici-admin diagnose` looks: the Platform's URL with /health for /ws
        Route("/metrics", metrics),
    ]


class _Figures(Collector):
    """Read when asked for, so that nothing is counted twice."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("kici_gql_info", "The program.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        for name, meaning, value in self._gauges():
            yield GaugeMetricFamily(name, meaning, value)
        for name, meaning, value in self._counters():
            yield CounterMetricFamily(name, meaning, value)

    def _gauges(self) -> Iterator[tuple[str, str, float]]:
        of = self._observed
        yield "kici_gql_connections", "Open sockets and event streams.", of.gate.connections
        yield "kici_gql_relay_links", "Open sockets of stock orchestrators.", of.relay.connections
        yield "kici_gql_subscriptions", "Open subscriptions.", of.groups.members
        yield (
            "kici_gql_subscription_groups",
            "Groups of subscriptions that share their pages.",
            len(of.groups),
        )
        yield (
            "kici_gql_subscriptions_live",
            "Subscriptions whose socket takes pages as they come; the others catch up, read slowly, or are event streams.",
            of.groups.followers,
        )
        yield "kici_gql_recent_pages_bytes", "Pages kept for those a little behind.", of.groups.recent.bytes
        yield "kici_gql_followed_orgs", "Orgs whose logs this process follows.", of.feed.followed
        yield "kici_gql_feed_lag_events", "Events known to be there and not yet read.", of.feed.lag_events
        bus = float(of.feed.bus.connected.is_set())
        yield "kici_gql_bus_connected", "1 while the bus echoes.", bus

    def _counters(self) -> Iterator[tuple[str, str, float]]:
        written, shared = self._observed.store.counts, self._observed.groups.counts
        yield "kici_gql_transactions", "Transactions committed.", written.transactions
        yield "kici_gql_transactions_failed", "Transactions refused or failed.", written.failed
        yield "kici_gql_commits", "Commits; several transactions share one.", written.commits
        yield "kici_gql_events", "Events appended to the logs.", written.events
        yield "kici_gql_pages_rendered", "Pages made for subscriptions.", shared.pages_rendered
        yield "kici_gql_pages_delivered", "Pages handed to subscribers.", shared.pages_delivered
        yield "kici_gql_kept_answers", "Queries answered with a kept answer.", self._observed.kept.hits
        restarts = self._observed.feed.bus.restarts
        yield "kici_gql_bus_restarts", "Times the bus was connected anew.", restarts


async def _answers(store: Store) -> bool:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await store.read(_ping)
    except (SQLAlchemyError, KiciError, TimeoutError):
        return False
    return True


def _ping(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
