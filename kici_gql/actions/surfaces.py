"""The port to settings that a cluster's orchestrators alone hold.

Two kinds of orchestrators stand behind it. Those that push have reported their settings; stock KiCI orchestrators are
asked live over their WebSocket. Either way nothing is answered for a cluster that is not connected, and never a
sibling's settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from kici_gql.errors import ClusterDisconnected, OperationDisabled, Unavailable
from kici_gql.rules import settings_reports as rules
from kici_gql.store import Store, fleet, settings
from kici_gql.tables import Cluster, Orchestrator, Surface


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
    """Every way to a cluster's own settings in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._askers: dict[str, Asker] = {}

    def attach(self, orchestrator_id: str, asker: Asker) -> None:
        """From now on this orchestrator is asked instead of read."""
        self._askers[orchestrator_id] = asker

    def detach(self, orchestrator_id: str, asker: Asker) -> None:
        if self._askers.get(orchestrator_id) is asker:
            del self._askers[orchestrator_id]

    async def read(self, org_id: str, cluster_id: str, surface: Surface) -> Reported:
        """One surface of one cluster. Raises ClusterDisconnected, or Unavailable when nobody has told it yet."""
        members = await self._store.read(_members, org_id, cluster_id)
        if not members:
            cluster = await self._store.read(_name, org_id, cluster_id)
            raise disconnected(cluster)
        for member in members:
            asker = self._askers.get(member.id)
            if asker is not None:
                return Reported(await asker.ask(surface), self._store.now())
        reported = await self._store.read(settings.surface, org_id, cluster_id, surface)
        if reported is None:
            raise Unavailable(
                f"the cluster's orchestrators have not reported {surface} yet",
                hint="It is there when one of them has sent orchestratorReportSettings.",
            )
        return Reported(reported.document, reported.reported_at)


def disconnected(name: str) -> ClusterDisconnected:
    return ClusterDisconnected(
        f"no orchestrator of cluster {name} is connected",
        hint="Its settings are known to its orchestrators alone; try again when one is connected.",
    )


def require_write(connection: Connection, org_id: str, cluster_id: str, operation: str) -> None:
    """Raises OperationDisabled when the cluster's operator has switched this write off for everybody outside."""
    policy = settings.surface(connection, org_id, cluster_id, Surface.SECURITY_POLICY)
    writes = policy.document.get("dashboardWrites", {}) if policy is not None else {}
    if rules.is_disabled(writes, operation):
        raise OperationDisabled(
            f"the cluster's operator does not allow {operation} from outside",
            operation=operation,
            command_line=rules.COMMAND_LINES[operation],
        )


def _members(connection: Connection, org_id: str, cluster_id: str) -> list[Orchestrator]:
    """The cluster's orchestrators that are there, the one heard last first."""
    rows = fleet.children(connection, Orchestrator, org_id, "cluster_id", [cluster_id])
    present = [row for row in rows if row.liveness in fleet.PRESENT]
    return sorted(present, key=lambda row: row.last_heartbeat_at, reverse=True)


def _name(connection: Connection, org_id: str, cluster_id: str) -> str:
    rows = fleet.whole(connection, Cluster, org_id, cluster_id)
    return rows[0].name if rows else "?"
