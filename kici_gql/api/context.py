"""What resolvers reach: the caller, the doors to the program, and the loaders of this one operation."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import strawberry
from sqlmodel import SQLModel

from kici_gql import auth, tables
from kici_gql.actions.listeners import Listeners
from kici_gql.actions.perform import Call
from kici_gql.actions.surfaces import Surfaces
from kici_gql.api.loaders import Loaders
from kici_gql.api.slices import KeptSlices
from kici_gql.auth import Viewer
from kici_gql.errors import Forbidden, InvalidInput, NotFound, Renamed
from kici_gql.feed import Feed
from kici_gql.rules import names
from kici_gql.rules.secrets import redacted
from kici_gql.settings import Settings
from kici_gql.store import Store, fleet, orgs, settings
from kici_gql.tables import Prefix, TokenScope


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the program that the API stands on."""

    store: Store
    feed: Feed
    settings: Settings
    surfaces: Surfaces
    listeners: Listeners
    process_id: str
    slices: KeptSlices = field(default_factory=KeptSlices)
    catching_up: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one reader that goes through what it has missed. Ten at once would have most of each turn of the loop."""


class Context:
    """Lives for one operation, or for one frame of a subscription: nothing in it may grow old."""

    def __init__(self, services: Services, viewer: Viewer, request_id: str) -> None:
        self.services = services
        self.viewer = viewer
        self.request_id = request_id
        self.load = self._loaders()
        self._org: asyncio.Future[Any] | None = None

    @property
    def call(self) -> Call:
        """This request as the actions want it. What was loaded until now may be out of date after it."""
        self.load = self._loaders()
        self._org = None
        return Call(self.services.store, self.services.settings, self.viewer, self.request_id)

    def _loaders(self) -> Loaders:
        return Loaders(self.services.store, self.viewer.org_id, self.services.slices)

    def age_seconds(self, moment: datetime | str | None) -> int | None:
        """Whole seconds since a moment, by the server's clock."""
        if moment is None:
            return None
        then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return max(0, int((self.services.store.now() - then).total_seconds()))

    async def epoch(self) -> str:
        """Epoch of the viewer's org's log."""
        return (await self.services.feed.head(self.viewer.org_id)).epoch

    def require_reader(self) -> None:
        auth.require_reader(self.viewer)

    def require(self, scope: TokenScope) -> None:
        """Raises Forbidden unless the viewer has exactly this scope."""
        auth.require_reader(self.viewer)
        if self.viewer.scope is not scope:
            raise Forbidden(
                f"a token of scope {self.viewer.scope} may not read this",
                hint=f"Use a token of scope {scope}.",
            )

    async def read(self, query: Callable[..., Any], *args: Any) -> Any:
        """What a statement of the store finds. Rows stand for their GraphQL types."""
        return await self.services.store.read(query, *args)

    async def org(self) -> Any:
        """The viewer's org, whose row holds the position of its log.

        Everything else is read after it, so that whoever follows from that position misses nothing that was not shown.
        """
        if self._org is None:
            self._org = asyncio.ensure_future(self.read(orgs.org_by_id, self.viewer.org_id))
        found = await asyncio.shield(self._org)  # one field that stops waiting must not stop the others
        assert found is not None, "a token's foreign key says so"
        return found

    async def cluster(self, name: str, path: str) -> Any:
        """The org's cluster of this name, or None. Raises InvalidInput, or Renamed for a name that it had lately."""
        names.check_name(name, path)
        found = await self.read(fleet.cluster_named, self.viewer.org_id, name)
        since = self.services.store.now() - names.FORMER_NAME_KEPT
        if found is None and (old := await self.read(settings.former, self.viewer.org_id, name, since)):
            renamed = await self.load.one(tables.Cluster, old.cluster_id)
            raise Renamed(f"cluster {name} was renamed", hint=f"It is {renamed.name} now.", path=[path])
        return found

    async def known_cluster(self, name: str, path: str) -> Any:
        """As `cluster`, but raises NotFound where there is none."""
        cluster = await self.cluster(name, path)
        if cluster is None:
            raise NotFound(
                f"there is no cluster {name!r}", hint="Query Org.clusters for what there is.", path=[path]
            )
        return cluster

    async def node(self, id_: str) -> Any:
        """The object with this global id, of whatever kind, or None when the org has none."""
        auth.require_reader(self.viewer)
        org = await self.org()
        if id_.startswith(f"{Prefix.ORG}_"):
            return org if id_ == org.id else None
        model = _MODELS.get(id_.partition("_")[0])
        if model is None:
            raise InvalidInput(
                f"{redacted(id_)[:80]!r} is not a global id",
                hint="Send an id that this server gave you.",
                path=["id"],
            )
        if model in _ADMINS_ONLY:
            self.require(TokenScope.ADMIN)
        return await self.load.one(model, id_)

    def require_org(self, slug: str) -> str:
        """Id of the org that the caller names. Raises NotFound for any org but the viewer's own, there or not."""
        auth.require_reader(self.viewer)
        if slug != self.viewer.org_slug:
            raise NotFound(
                f"there is no org {redacted(slug)[:80]!r}",
                hint="A token sees only its own org.",
                path=["org"],
            )
        return self.viewer.org_id


_MODELS: dict[str, type[SQLModel]] = {
    Prefix.CLUSTER: tables.Cluster,
    Prefix.ORCHESTRATOR: tables.Orchestrator,
    Prefix.SCALER: tables.Scaler,
    Prefix.AGENT: tables.Agent,
    Prefix.ALERT: tables.Alert,
    Prefix.WORKFLOW: tables.Workflow,
    Prefix.RUN: tables.Run,
    Prefix.JOB: tables.Job,
    Prefix.STEP: tables.Step,
    Prefix.COMMAND: tables.Command,
    Prefix.SECRET_BACKEND: tables.SecretBackend,
    Prefix.TOKEN: tables.Token,
    Prefix.AUDIT: tables.Audit,
}
_ADMINS_ONLY = frozenset({tables.Token, tables.Audit})

Info = strawberry.Info[Context, Any]
