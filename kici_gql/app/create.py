"""`create_app`: settings in, ASGI application out. Nothing is global; two apps can live in one process."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from kici_gql.actions.listeners import Listeners
from kici_gql.actions.surfaces import Surfaces
from kici_gql.api.context import Context, Services
from kici_gql.api.engine.kept import KeptAnswers
from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.operations import Operations
from kici_gql.api.schema import schema
from kici_gql.api.stable import STABLE
from kici_gql.api.transport.endpoint import GraphQLEndpoint
from kici_gql.api.transport.options import TransportOptions
from kici_gql.app.chores import Chores
from kici_gql.app.health import Observed, health_routes
from kici_gql.app.prepare import utc_now
from kici_gql.app.schema_text import schema_route
from kici_gql.auth import Authenticator, Viewer
from kici_gql.events import Entry, EventType, Topic
from kici_gql.feed import Feed
from kici_gql.relay import RelayEndpoint
from kici_gql.settings import Settings
from kici_gql.store import Store
from kici_gql.web import SessionRoutes, web_routes

GRAPHQL = "/graphql"


def create_app(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Starlette:
    """The whole server. Its database must be prepared (`prepare`). `app.state.drain()` ends all streams politely."""
    store = Store(settings, clock)
    feed = Feed(store, settings.broadcast_url, settings.tail_events)
    store.on_commit = feed.announce  # the one arrow that points up: whoever commits tells whoever follows
    authenticator = Authenticator(store, feed.watch, anonymous=settings.demo)
    feed.on_entry = partial(_hear, authenticator)
    surfaces = Surfaces(store, feed)
    process_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    listeners = Listeners(store, settings, process_id)
    services = Services(store, feed, settings, surfaces, listeners, process_id)

    def make_context(viewer: Viewer, request_id: str) -> Context:
        return Context(services, viewer, request_id)

    async def position(viewer: Viewer) -> str | None:
        return str(await store.head(viewer.org_id)) if viewer.org_id else None

    kept = KeptAnswers(position, STABLE)
    operations = Operations(schema, make_context, limits=_limits(settings), kept=kept)
    graphql = GraphQLEndpoint(operations, authenticator, _options(settings))
    relay = RelayEndpoint(store, feed, settings, authenticator, surfaces, process_id)
    sessions = SessionRoutes(authenticator)
    chores = Chores(store, settings, authenticator)

    async def drain() -> None:
        await listeners.close()
        seconds = settings.shutdown_seconds / 2
        await asyncio.gather(graphql.drain(seconds), relay.drain(seconds))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await store.open()
        await feed.open()
        chores.start()
        try:
            yield
        finally:
            await drain()
            await chores.stop()
            await feed.close()
            await store.close()

    routes: list[BaseRoute] = [
        Route(GRAPHQL, graphql),  # for an application that is mounted below another path
        WebSocketRoute(GRAPHQL, graphql),
        WebSocketRoute("/ws", relay),
        *health_routes(Observed(store, feed, graphql.gate, operations.groups, kept, relay)),
        schema_route(authenticator),
        *sessions.routes(),
        *web_routes(),
    ]
    app = _Application(graphql, routes=routes, middleware=[_behind_proxies()], lifespan=lifespan)
    app.state.drain = drain
    app.state.sessions = sessions
    return app


class _Application(Starlette):
    """Answers `/graphql` before all middlewares and routes.

    The way through them was a tenth of a push's CPU and a seventh of a socket's memory, and nothing on it is for GraphQL.
    """

    def __init__(self, graphql: ASGIApp, **how: Any) -> None:
        super().__init__(**how)
        self._graphql = graphql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == GRAPHQL:
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _behind_proxies() -> Middleware:
    """Believe what a proxy says of its client, where that is trusted; the same as uvicorn does by default."""
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
    return Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)


def _hear(authenticator: Authenticator, entry: Entry) -> None:
    if entry.topic is Topic.TOKENS:
        for event in entry.events:
            if event.type is EventType.TOKEN_REVOKED:
                authenticator.revoked(event.data["id"])


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_depth=settings.max_depth,
        max_aliases=settings.max_aliases,
        max_fields=settings.max_fields,
        max_tokens=settings.max_tokens,
    )


def _options(settings: Settings) -> TransportOptions:
    return TransportOptions(
        max_body_bytes=settings.max_body_bytes,
        max_message_bytes=settings.max_message_bytes,
        max_connections=settings.max_connections,
        max_connections_per_token=settings.max_connections_per_token,
        max_subscriptions_per_connection=settings.max_subscriptions_per_connection,
        max_subscriptions_per_token=settings.max_subscriptions_per_token,
        allowed_origins=settings.allowed_origins,
    )
