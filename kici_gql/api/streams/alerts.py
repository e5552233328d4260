"""`alerts`: every transition of every alert."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from kici_gql import tables
from kici_gql.api.context import Services
from kici_gql.api.streams.frames import AlertChanged, AlertFrame, AlertRemoved, AlertSnapshot
from kici_gql.api.streams.infrastructure import row_of
from kici_gql.api.streams.view import LogView
from kici_gql.events import Event, Topic
from kici_gql.store import fleet
from kici_gql.store.filters import Condition, clauses, matches
from kici_gql.tables import AlertState

_UNRESOLVED = (Condition("state", "in", (AlertState.OPEN, AlertState.ACKNOWLEDGED)),)


class AlertView(LogView[AlertFrame]):
    """Alerts of an org. Without `where` the snapshot leaves resolved ones out, and the events tell everything."""

    topics = frozenset({Topic.ALERTS})
    frame = AlertFrame

    def __init__(self, services: Services, org_id: str, where: tuple[Condition, ...] | None) -> None:
        super().__init__(services, org_id, where)
        self.where = where or ()
        self._at_first = _UNRESOLVED if where is None else where

    def state(self, connection: Connection) -> AlertSnapshot:
        conditions = clauses(tables.Alert, self._at_first)
        rows: list[Any] = list(fleet.whole(connection, tables.Alert, self.org_id, None, conditions))
        return AlertSnapshot(alerts=rows)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [
            AlertChanged(alert=row_of(event))
            if matches(self.where, event.data)
            else AlertRemoved(id=event.data["id"])
            for event in events
        ]
