"""Names of clusters: rename, and who is meant by an old name."""

from dataclasses import dataclass
from typing import Any

from kici_gql.actions import commands, naming
from kici_gql.actions.commands import Wish
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.errors import NameTaken, NotFound, VersionConflict
from kici_gql.events import Event, EventType
from kici_gql.rules import names
from kici_gql.store import Tx, fleet, records
from kici_gql.tables import Cluster, CommandKind, Orchestrator


@dataclass(frozen=True, slots=True)
class Rename:
    """The new name that somebody wants a cluster to have."""

    cluster_id: str
    name: str
    expected_version: int | None = None


async def rename(call: Call, wish: Rename, idempotency_key: str | None) -> Done:
    """Give a cluster a new name, as of the next connect of its orchestrators.

    Answers `cluster_id`, `command_ids` for the orchestrators that are there, and `hosts`: where to run a line by hand
    for stock KiCI orchestrators. A push orchestrator that is away is told in the answer to its connect.
    Raises NotFound, VersionConflict, InvalidInput, NameTaken.
    """

    def work(tx: Tx) -> Result:
        cluster = records.by_id(tx.connection, Cluster, tx.org_id, wish.cluster_id)
        if cluster is None:
            raise NotFound("there is no such cluster", hint="Query Org.clusters.", path=["clusterId"])
        if wish.expected_version is not None and wish.expected_version != cluster.revision:
            raise VersionConflict(
                f"the cluster has version {cluster.revision} by now",
                current_id=cluster.id,
                hint="Read it again.",
            )
        _require_free(tx, cluster, wish.name)
        pending = None if wish.name == cluster.name else wish.name
        change(tx, cluster, {"pending_name": pending})
        members = fleet.children(tx.connection, Orchestrator, tx.org_id, "cluster_id", [cluster.id])
        present = [row for row in members if row.liveness in fleet.PRESENT]
        # A name that is taken back is told too: its orchestrators may have been told the other one.
        told = pending is not None or cluster.pending_name is not None
        asked = _ask(tx, call, cluster, wish.name, present) if told else []
        return {
            "cluster_id": cluster.id,
            "command_ids": asked,
            "hosts": sorted({row.hostname for row in members if row.asked_live}),
        }

    def check() -> None:
        names.check_name(wish.name, "name")

    action = Action(
        "clusterRename", work, check, object_id=wish.cluster_id, idempotency_key=idempotency_key, input=wish
    )
    return await perform(call, action)


def change(tx: Tx, cluster: Cluster, values: dict[str, Any]) -> Cluster:
    row = records.change(tx.connection, Cluster, cluster.id, values | {"revision": cluster.revision + 1})
    tx.append(Event(EventType.CLUSTER_CHANGED, records.state_of(row)))
    return row


def _ask(tx: Tx, call: Call, cluster: Cluster, name: str, present: list[Orchestrator]) -> list[str]:
    seconds = call.settings.command_seconds
    wish = Wish(CommandKind.RENAME, cluster.id, payload={"clusterName": name})
    return [commands.ask_one(tx, wish, row, call.viewer.token_name, seconds).id for row in present]


def _require_free(tx: Tx, cluster: Cluster, name: str) -> None:
    for other in fleet.whole(tx.connection, Cluster, tx.org_id, None):
        if other.id != cluster.id and name in {other.name, other.pending_name}:
            raise NameTaken(
                f"there is a cluster {name!r} already", hint="Choose another name.", path=["name"]
            )
    holder = naming.formerly(tx, name)
    if holder is not None and holder.id != cluster.id:
        raise NameTaken(
            f"cluster {holder.name} was called {name!r} lately",
            hint=f"The old name leads to it for {names.FORMER_NAME_KEPT.days} days; choose another name, or wait.",
            path=["name"],
        )
