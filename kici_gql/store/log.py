"""Reading and trimming the event log."""

import secrets
from collections.abc import Collection
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update

from kici_gql.events import Cursor, Entry, Topic, iso
from kici_gql.tables import LogEntry, Org, table_of

_org = table_of(Org)
_entry = table_of(LogEntry)

_MOST_SCANNED = 5_000  # events


class Mark(NamedTuple):
    """A position of an org's log, and the newest change of its fleet then."""

    epoch: str
    seq: int
    fleet_seq: int

    def reaches(self, other: "Mark | None") -> bool:
        """Whether what was read here may be as new as the other mark."""
        return other is not None and self.epoch == other.epoch and self[1:] >= other[1:]


def head(connection: Connection, org_id: str) -> Cursor:
    """The present position of the org's log. Raises LookupError when there is no such org."""
    row = connection.execute(select(_org.c.log_epoch, _org.c.last_seq).where(_org.c.id == org_id)).first()
    if row is None:
        raise LookupError(org_id)
    return Cursor(row.log_epoch, row.last_seq)


def bounds(connection: Connection, org_id: str) -> tuple[str, int, int]:
    """Epoch, first and last readable sequence number of the org's log. Raises LookupError for an unknown org."""
    query = select(_org.c.log_epoch, _org.c.first_seq, _org.c.last_seq).where(_org.c.id == org_id)
    row = connection.execute(query).first()
    if row is None:
        raise LookupError(org_id)
    return row.log_epoch, row.first_seq, row.last_seq


def renew_epochs(connection: Connection) -> int:
    """Make every org's log another log, so that no cursor from before is taken for one of it. Returns how many.

    For a database that was put back to an earlier state: its log gives numbers again that clients know already.
    """
    org_ids = [row.id for row in connection.execute(select(_org.c.id))]
    for org_id in org_ids:
        query = update(_org).where(_org.c.id == org_id)
        connection.execute(query.values(log_epoch=secrets.token_hex(4)))
    return len(org_ids)


def heads(connection: Connection, org_ids: Collection[str]) -> dict[str, int]:
    """Newest sequence number of each org named."""
    rows = connection.execute(select(_org.c.id, _org.c.last_seq).where(_org.c.id.in_(sorted(org_ids))))
    return {row.id: row.last_seq for row in rows}


def entries_after(
    connection: Connection, org_id: str, seq: int, topics: Collection[Topic], limit: int
) -> list[Entry]:
    """Entries of these topics that end behind `seq`, oldest first, at most `limit`."""
    query = (
        select(_entry)
        .where(
            _entry.c.org_id == org_id,
            _entry.c.seq > seq,
            _entry.c.topic.in_([topic.value for topic in topics]),
        )
        .order_by(_entry.c.seq)
        .limit(limit)
    )
    return [
        Entry(row.org_id, row.first_seq, row.seq, Topic(row.topic), iso(row.at), row.body)
        for row in connection.execute(query)
    ]


def mark(connection: Connection, org_id: str) -> Mark:
    """Where the org's log and its fleet stand. Raises LookupError when there is no such org."""
    return _standing(connection, org_id)[0]


def beaten_since(connection: Connection, org_id: str, known: Mark | None) -> tuple[Mark, set[str] | None]:
    """The present mark, and the ids of all that has rows below it whose figures came since a known one.

    None instead of ids: more has changed than figures, or too much to look at.
    """
    now, first_seq = _standing(connection, org_id)
    if known is None or (now.epoch, now.fleet_seq) != (known.epoch, known.fleet_seq):
        return now, None
    if not first_seq - 1 <= known.seq <= now.seq <= known.seq + _MOST_SCANNED:
        return now, None
    parents: set[str | None] = set()
    for entry in connection.execute(_BEATS, {"org_id": org_id, "seq": known.seq}):
        for _, data in orjson.loads(entry.body):
            parents.update((org_id, data["cluster_id"], data.get("orchestrator_id"), data.get("scaler_id")))
    return now, {id_ for id_ in parents if id_ is not None}


def _standing(connection: Connection, org_id: str) -> tuple[Mark, int]:
    """The mark, and the first readable sequence number."""
    row = connection.execute(_STANDING, {"org_id": org_id}).first()
    if row is None:
        raise LookupError(org_id)
    return Mark(row.log_epoch, row.last_seq, row.fleet_seq), row.first_seq


_STANDING = select(_org.c.log_epoch, _org.c.last_seq, _org.c.fleet_seq, _org.c.first_seq).where(
    _org.c.id == bindparam("org_id")
)
_BEATS = select(_entry.c.body).where(
    _entry.c.org_id == bindparam("org_id"),
    _entry.c.seq > bindparam("seq"),
    _entry.c.topic == Topic.HEARTBEATS.value,
)


def trim(connection: Connection, org_id: str, older_than: datetime, keep_events: int, limit: int) -> int:
    """Remove at most `limit` of the oldest entries that are too old or too many. Returns how many went."""
    _, _, last_seq = bounds(connection, org_id)
    floor = last_seq - keep_events
    oldest = select(_entry.c.seq, _entry.c.at).where(_entry.c.org_id == org_id)
    rows = connection.execute(oldest.order_by(_entry.c.seq).limit(limit))
    doomed = [row.seq for row in takewhile(lambda row: row.at < older_than or row.seq <= floor, rows)]
    if not doomed:
        return 0
    connection.execute(delete(_entry).where(_entry.c.org_id == org_id, _entry.c.seq <= doomed[-1]))
    connection.execute(update(_org).where(_org.c.id == org_id).values(first_seq=doomed[-1] + 1))
    return len(doomed)
