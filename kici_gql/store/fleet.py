"""Clusters, orchestrators, scalers and agents."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, or_, select, update
from sqlmodel import SQLModel

from kici_gql.store.prepared import prepared_update, prepared_upsert
from kici_gql.store.records import fetch_all, fetch_one, listed
from kici_gql.tables import (
    Agent,
    AgentFigures,
    AgentRecord,
    Cluster,
    Liveness,
    Orchestrator,
    Scaler,
    table_of,
)

_cluster = table_of(Cluster)
_orchestrator = table_of(Orchestrator)
_scaler = table_of(Scaler)
_agent = table_of(Agent)
_record = table_of(AgentRecord)

RECORDS = prepared_upsert(AgentRecord)
"""All but an agent's figures."""

FIGURES = prepared_upsert(AgentFigures)
"""An agent's serial number and what a heartbeat says of it, in the order of the columns."""

TURNS = prepared_update(
    AgentRecord, "paused", "liveness", "liveness_reason", "liveness_since", "missed_beats", "revision"
)
"""What changes when an agent comes, falls silent or pauses, in the order of the columns; then its id."""

PRESENT = (Liveness.ONLINE, Liveness.LATE)
"""Counted as being there."""

Child = TypeVar("Child", bound=SQLModel)


def cluster_named(connection: Connection, org_id: str, name: str) -> Cluster | None:
    return fetch_one(connection, _CLUSTER_NAMED, Cluster, org_id=org_id, name=name)


_CLUSTER_NAMED = select(_cluster).where(
    _cluster.c.org_id == bindparam("org_id"), _cluster.c.name == bindparam("name")
)


def cluster_pending(connection: Connection, org_id: str, name: str) -> Cluster | None:
    """The cluster that is to have this name."""
    query = select(_cluster).where(_cluster.c.org_id == org_id, _cluster.c.pending_name == name)
    return fetch_one(connection, query.limit(1), Cluster)


def cluster_of_key(connection: Connection, org_id: str, key: str | None) -> Cluster | None:
    """The cluster whose eldest orchestrators have this internal id, or whose own id it is, whatever it is called.

    A stranger that came later under the same name does not take it from them.
    """
    return None if key is None else fetch_one(connection, _cluster_of_key(), Cluster, org_id=org_id, key=key)


@cache
def _cluster_of_key() -> Select[Any]:
    key: Any = bindparam("key")
    elder = _orchestrator.alias("elder")
    stranger = select(elder.c.id).where(
        elder.c.cluster_id == _orchestrator.c.cluster_id,
        elder.c.id < _orchestrator.c.id,
        elder.c.cluster_key != key,
    )
    ours = select(_orchestrator.c.cluster_id).where(_orchestrator.c.cluster_key == key, ~stranger.exists())
    query = select(_cluster).where(
        _cluster.c.org_id == bindparam("org_id"), or_(_cluster.c.id == key, _cluster.c.id.in_(ours))
    )
    return query.order_by(_cluster.c.id).limit(1)


def speakers(connection: Connection, org_id: str, cluster_id: str) -> Sequence[Orchestrator]:
    """The orchestrators that are there and may speak for the whole cluster, the one heard last first.

    Two unrelated clusters can call themselves by one name; then those of the elder one speak for it.
    """
    rows = children(connection, Orchestrator, org_id, "cluster_id", [cluster_id])
    present = [row for row in rows if row.liveness in PRESENT]
    elder = next((row.cluster_key for row in present if row.cluster_key is not None), None)
    speaking = [row for row in present if row.cluster_key in {None, elder}]
    return sorted(speaking, key=lambda row: row.last_heartbeat_at, reverse=True)


def namesakes(
    connection: Connection, org_id: str, instance_id: str | None, key: str | None, cluster_id: str
) -> Sequence[Orchestrator]:
    """Rows of the same orchestrator in other clusters: it was there before it came into this one."""
    if instance_id is None or key is None:
        return []
    values = {"org_id": org_id, "instance_id": instance_id, "key": key, "cluster_id": cluster_id}
    return fetch_all(connection, _NAMESAKES, Orchestrator, **values)


_NAMESAKES = (
    select(_orchestrator)
    .where(
        _orchestrator.c.org_id == bindparam("org_id"),
        _orchestrator.c.instance_id == bindparam("instance_id"),
        _orchestrator.c.cluster_key == bindparam("key"),
        _orchestrator.c.cluster_id != bindparam("cluster_id"),
    )
    .order_by(_orchestrator.c.id)
)


def orchestrator_of(connection: Connection, org_id: str, connection_id: str) -> Orchestrator | None:
    """The org's orchestrator with this connection id."""
    if "\0" in connection_id:
        return None
    return fetch_one(connection, _CONNECTED, Orchestrator, connection_id=connection_id, org_id=org_id)


_CONNECTED = select(_orchestrator).where(
    _orchestrator.c.connection_id == bindparam("connection_id"), _orchestrator.c.org_id == bindparam("org_id")
)


def instance_of(connection: Connection, cluster_id: str, instance_id: str) -> Orchestrator | None:
    return fetch_one(connection, _INSTANCE, Orchestrator, cluster_id=cluster_id, instance_id=instance_id)


_INSTANCE = select(_orchestrator).where(
    _orchestrator.c.cluster_id == bindparam("cluster_id"),
    _orchestrator.c.instance_id == bindparam("instance_id"),
)


def auto_named_home(connection: Connection, org_id: str, instance_id: str) -> Cluster | None:
    """The cluster we named ourselves for this instance when it first connected without a name."""
    query = (
        select(_cluster)
        .join(_orchestrator, _orchestrator.c.cluster_id == _cluster.c.id)
        .where(_cluster.c.org_id == org_id, _cluster.c.auto_named, _orchestrator.c.instance_id == instance_id)
        .order_by(_cluster.c.id)
        .limit(1)
    )
    return fetch_one(connection, query, Cluster)


def children(
    connection: Connection, model: type[Child], org_id: str, parent: str, ids: Collection[str]
) -> Sequence[Child]:
    """All rows of `model` whose column `parent` is one of `ids`, ordered by id."""
    return fetch_all(connection, _children(model, parent), model, ids=sorted(ids), org_id=org_id)


@cache
def _children(model: type[SQLModel], parent: str) -> Select[Any]:
    table = table_of(model)
    query = select(table).where(table.c[parent].in_(listed("ids")), table.c.org_id == bindparam("org_id"))
    return query.order_by(table.c.id)


def whole(
    connection: Connection,
    model: type[Child],
    org_id: str,
    cluster_id: str | None,
    conditions: Sequence[ColumnElement[bool]] = (),
) -> Sequence[Child]:
    """All rows of `model` in the org, or in one cluster of it, that fulfil the conditions; ordered by id."""
    table = table_of(model)
    query = select(table).where(table.c.org_id == org_id, *conditions).order_by(table.c.id)
    if cluster_id is not None:
        query = query.where((table.c.id if model is Cluster else table.c.cluster_id) == cluster_id)
    return fetch_all(connection, query, model)


def agents_by_name(connection: Connection, cluster_id: str, agent_ids: Collection[str]) -> dict[str, Agent]:
    """The cluster's agents of these names, by name."""
    rows = fetch_all(connection, _BY_NAME, Agent, cluster_id=cluster_id, names=sorted(agent_ids))
    return {agent.agent_id: agent for agent in rows}


_BY_NAME = select(_agent).where(
    _agent.c.cluster_id == bindparam("cluster_id"), _agent.c.agent_id.in_(listed("names"))
)


def turn_of(row: Agent) -> list[Any]:
    """A row for `TURNS`."""
    return [
        row.paused,
        row.liveness,
        row.liveness_reason,
        row.liveness_since,
        row.missed_beats,
        row.revision,
        row.id,
    ]


def due(connection: Connection, org_id: str, now: datetime, limit: int) -> Sequence[Orchestrator]:
    """The org's orchestrators whose silence, or an agent's, has to be judged; longest overdue first."""
    due_at = _orchestrator.c.due_at
    query = select(_orchestrator).where(due_at <= now, _orchestrator.c.org_id == org_id)
    return fetch_all(connection, query.order_by(due_at).limit(limit), Orchestrator)


def judge_soon(connection: Connection, orchestrator_id: str, now: datetime) -> None:
    """Have the silence of the orchestrator's agents judged at the next look: it is not known when it is due."""
    query = update(_orchestrator).where(_orchestrator.c.id == orchestrator_id).values(due_at=now)
    connection.execute(query)


def away_since(connection: Connection, org_id: str, before: datetime, limit: int) -> Sequence[Orchestrator]:
    """The org's orchestrators that left, or were lost, before then."""
    query = select(_orchestrator).where(
        _orchestrator.c.org_id == org_id,
        _orchestrator.c.liveness.in_([Liveness.OFFLINE, Liveness.LOST]),
        _orchestrator.c.disconnected_at < before,
    )
    return fetch_all(connection, query.order_by(_orchestrator.c.id).limit(limit), Orchestrator)


def next_due(connection: Connection) -> datetime | None:
    """When somebody's silence has to be judged next."""
    moment: datetime | None = connection.execute(select(func.min(_orchestrator.c.due_at))).scalar_one()
    return moment


def present_agents(connection: Connection, scaler_ids: Collection[str]) -> dict[str, int]:
    """How many agents of each scaler are there."""
    rows = connection.execute(_PRESENT_AGENTS, {"scaler_ids": sorted(scaler_ids)})
    return {row.scaler_id: row.n for row in rows}


_PRESENT_AGENTS = (
    select(_record.c.scaler_id, func.count().label("n"))
    .where(_record.c.scaler_id.in_(listed("scaler_ids")), _record.c.liveness.in_(PRESENT))
    .group_by(_record.c.scaler_id)
)


def liveness_counts(connection: Connection, cluster_id: str) -> dict[Liveness, int]:
    """How many of the cluster's agents are in each state."""
    query = select(_record.c.liveness, func.count().label("n")).where(_record.c.cluster_id == cluster_id)
    return {row.liveness: row.n for row in connection.execute(query.group_by(_record.c.liveness))}


def agents_in(connection: Connection, cluster_id: str, states: Collection[Liveness]) -> Sequence[Agent]:
    """The cluster's agents that are in one of these states, ordered by id."""
    return fetch_all(connection, _AGENTS_IN, Agent, cluster_id=cluster_id, states=list(states))


_AGENTS_IN = (
    select(_agent)
    .where(_agent.c.cluster_id == bindparam("cluster_id"), _agent.c.liveness.in_(listed("states")))
    .order_by(_agent.c.id)
)


def orgs_due(connection: Connection, now: datetime) -> Sequence[str]:
    """Orgs in which somebody's silence has to be judged."""
    query = select(_orchestrator.c.org_id).where(_orchestrator.c.due_at <= now).distinct()
    return sorted(row.org_id for row in connection.execute(query))
