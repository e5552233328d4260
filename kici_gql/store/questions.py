"""Questions between processes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from kici_gql.store.records import fetch_all
from kici_gql.tables import Question, table_of

_question = table_of(Question)


def open_for(connection: Connection, org_id: str, orchestrator_id: str) -> Sequence[Question]:
    """What nobody has answered yet, oldest first."""
    query = select(_question).where(
        _question.c.orchestrator_id == orchestrator_id,
        _question.c.org_id == org_id,
        _question.c.answered_at.is_(None),
    )
    return fetch_all(connection, query.order_by(_question.c.id), Question)


def forget(connection: Connection, before: datetime) -> int:
    """Remove what was asked before then: whoever asked has given up, or has ended. Returns how many went."""
    return connection.execute(delete(_question).where(_question.c.asked_at < before)).rowcount
