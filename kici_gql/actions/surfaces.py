"""The port to settings that a cluster's orchestrators alone hold.

Two kinds of orchestrators stand behind it. Those that push have reported their settings; stock KiCI orchestrators are
asked live over their WebSocket, by whichever process holds it. Either way nothing is answered for a cluster that is
not connected, and never a sibling's settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from kici_gql.actions import questions
from kici_gql.errors import ClusterDisconnected, NotFound, OperationDisabled, Unavailable
from kici_gql.events import Event, EventType
from kici_gql.feed import Feed
from kici_gql.rules import settings_reports as rules
from kici_gql.store import Store, Tx, fleet, records, settings
from kici_gql.tables import Cluster, Orchestrator, ReportedSurface, Surface


@dataclass(frozen=True, slots=True)
class Reported:
    """A surface as it was at `at`."""

    document: Mapping[str, Any]
    at: datetime


class Asker(Protocol):
    """Asks a connected orchestrator that does not push its settings."""

    async def ask(self, surface: Surface) -> Mapping[str, Any]:
        """The surface now. Raises Unavailable when the orchestrator does not answer in time."""


class Surfaces:
    """Every way to a cluster's own settings: what was reported, a connection of this process, or of another one."""

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._askers: dict[str, Asker] = {}

    def attach(self, orchestrator_id: str, asker: Asker) -> None:
        """From now on this orchestrator is asked instead of read."""
        self._askers[orchestrator_id] = asker

    def detach(self, orchestrator_id: str, asker: Asker) -> None:
        if self._askers.get(orchestrator_id) is asker:
            del self._askers[orchestrator_id]

    async def read(self, org_id: str, cluster_id: str, surface: Surface) -> Reported:
        """One surface of one cluster. Raises ClusterDisconnected, or Unavailable when nobody has told it yet."""
        seen = await self._store.read(_look, org_id, cluster_id, surface)
        for member in seen.members:
            asker = self._askers.get(member.id)
            if asker is not None:
                return Reported(await questions.in_time(asker.ask(surface), member), self._store.now())
        elsewhere = next((member for member in seen.members if member.asked_live), None)
        if elsewhere is not None:
            document = await questions.ask(self._store, self._feed, elsewhere, surface)
            return Reported(document, self._store.now())
        if seen.reported is None or not is_current(seen.cluster, seen.reported.reported_at):
            raise untold(surface.lower().replace("_", " "))
        return Reported(seen.reported.document, seen.reported.reported_at)


def is_current(cluster: Cluster, reported_at: datetime | None) -> bool:
    """Whether something was reported since the cluster's orchestrators are there without a break."""
    since = cluster.connected_since
    return since is not None and reported_at is not None and reported_at >= since


def tell_again(tx: Tx, cluster_id: str, since: datetime) -> None:
    """Tell what was reported since then as if it just had been.

    Readers forgot it when the cluster went out of sight, and its orchestrator, which did not go, will not repeat it.
    """
    for which in Surface:
        told = settings.surface(tx.connection, tx.org_id, cluster_id, which)
        if told is not None and told.reported_at >= since:
            tx.append(Event(EventType.SURFACE_CHANGED, {"cluster_id": cluster_id, "surface": which}))
    for row in settings.backends_of(tx.connection, tx.org_id, [cluster_id]):
        if row.reported_at >= since:
            tx.append(Event(EventType.BACKEND_CHANGED, records.state_of(row)))


def require_connected(cluster: Cluster) -> None:
    """Raises ClusterDisconnected when none of the cluster's orchestrators is there."""
    if cluster.connected_since is None:
        raise disconnected(cluster.name)


def untold(what: str) -> Unavailable:
    return Unavailable(
        f"the cluster's orchestrators have not told their {what} since they connected",
        hint="It is there as soon as one of them has reported it.",
    )


def disconnected(name: str) -> ClusterDisconnected:
    return ClusterDisconnected(
        f"no orchestrator of cluster {name} is connected",
        hint="Its settings are known to its orchestrators alone; try again when one is connected.",
    )


def require_write(
    connection: Connection, cluster: Cluster, operation: str, subject: str | None = None
) -> None:
    """Raises OperationDisabled when the cluster's operator has switched this write off for everybody outside.

    Raises ClusterDisconnected first, for then nobody knows. The last policy told holds until there is another one.
    """
    require_connected(cluster)
    policy = settings.surface(connection, cluster.org_id, cluster.id, Surface.SECURITY_POLICY)
    writes = policy.document.get("dashboardWrites", {}) if policy is not None else {}
    if rules.state_of(writes, operation) is rules.WriteState.DISABLED:
        raise OperationDisabled(
            f"the cluster's operator does not allow {operation} from outside",
            operation=operation,
            command_line=rules.command_line(operation, subject),
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A cluster at one moment: the orchestrators that speak for it, and what was reported."""

    cluster: Cluster
    members: Sequence[Orchestrator]
    reported: ReportedSurface | None


def _look(connection: Connection, org_id: str, cluster_id: str, surface: Surface) -> _Seen:
    cluster = records.by_id(connection, Cluster, org_id, cluster_id)
    if cluster is None:
        raise NotFound("there is no such cluster", hint="Query Org.clusters.")
    require_connected(cluster)
    members = fleet.speakers(connection, org_id, cluster_id)
    return _Seen(cluster, members, settings.surface(connection, org_id, cluster_id, surface))
