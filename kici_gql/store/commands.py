"""Commands."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, select

from kici_gql.store.records import fetch_all
from kici_gql.tables import Command, CommandState, table_of

_command = table_of(Command)

OPEN = (CommandState.PENDING, CommandState.DELIVERED)


def open_for(connection: Connection, org_id: str, orchestrator_id: str) -> Sequence[Command]:
    """What the orchestrator has not answered yet, oldest first."""
    query = select(_command).where(
        _command.c.orchestrator_id == orchestrator_id, _command.c.org_id == org_id, _command.c.state.in_(OPEN)
    )
    return fetch_all(connection, query.order_by(_command.c.id), Command)


def latest(
    connection: Connection, org_id: str, limit: int, conditions: Sequence[ColumnElement[bool]]
) -> Sequence[Command]:
    """The newest commands of the org that fulfil the conditions, newest first."""
    query = select(_command).where(_command.c.org_id == org_id, *conditions)
    return fetch_all(connection, query.order_by(_command.c.id.desc()).limit(limit), Command)


def due(connection: Connection, org_id: str, now: datetime, limit: int) -> Sequence[Command]:
    """Commands of the org that nobody answered in time."""
    query = select(_command).where(_command.c.org_id == org_id, _command.c.due_at <= now)
    return fetch_all(connection, query.order_by(_command.c.due_at).limit(limit), Command)


def orgs_due(connection: Connection, now: datetime) -> Sequence[str]:
    query = select(_command.c.org_id).where(_command.c.due_at <= now).distinct()
    return sorted({row.org_id for row in connection.execute(query)})


def trim(connection: Connection, org_id: str, ended_before: datetime, limit: int) -> int:
    """Remove at most `limit` commands that ended long ago. Returns how many went."""
    old = select(_command.c.id).where(
        _command.c.org_id == org_id,
        _command.c.created_at < ended_before,
        _command.c.state.not_in(OPEN),
    )
    doomed = old.order_by(_command.c.id).limit(limit)
    return connection.execute(delete(_command).where(_command.c.id.in_(doomed))).rowcount


def remove_of(connection: Connection, orchestrator_id: str) -> None:
    """Remove all that this orchestrator was ever asked to do."""
    connection.execute(delete(_command).where(_command.c.orchestrator_id == orchestrator_id))
