"""Keyset paging: one implementation for every connection of the API.

A page is found by where it starts in the order, never by counting rows, so rows that come or go meanwhile are
neither skipped nor repeated, and a deep page costs what the first one costs.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from kici_gql.errors import InvalidInput
from kici_gql.store.filters import Condition, clauses
from kici_gql.store.records import fetch_all, listed
from kici_gql.tables import Prefix, table_of

Record = TypeVar("Record", bound=SQLModel)

MAX_PAGE = 100
_MOST_STATEMENTS = 64  # building one costs as much as reading a hundred rows with it


@dataclass(frozen=True, slots=True)
class Window:
    """What part of a list is asked for: `first` after `after`, or `last` before `before`."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def backward(self) -> bool:
        return self.last is not None

    @property
    def size(self) -> int:
        """Rows asked for. Raises InvalidInput when both or too many are asked for."""
        if self.first is not None and self.last is not None:
            raise InvalidInput("first and last exclude each other", hint="Send one of them.", path=["last"])
        name, size = ("last", self.last) if self.last is not None else ("first", self.first)
        size = 50 if size is None else size
        if not 0 <= size <= MAX_PAGE:
            raise InvalidInput(f"{name} is {size}", hint=f"Ask for 0 to {MAX_PAGE} at a time.", path=[name])
        return size


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by one column; the id breaks ties. Rows without a value come last in either direction."""

    column: str = "id"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """One list below each of many parents: which rows, in which order, which part."""

    model: type[SQLModel]
    parent: str
    conditions: tuple[Condition, ...]
    order: Order
    window: Window

    def narrowed(self, *conditions: Condition) -> "Listing":
        """The same list with more conditions."""
        return replace(self, conditions=(*self.conditions, *conditions))

    def latest_first(self) -> "Listing":
        """The same list, newest first."""
        return replace(self, order=replace(self.order, descending=True))


@dataclass(frozen=True, slots=True)
class Slice(Generic[Record]):
    """One page of rows and whether there are more on either side."""

    rows: Sequence[Record]
    order: Order
    has_next: bool
    has_previous: bool

    def cursor(self, row: Record) -> str:
        """Where `row` stands in this order."""
        key = getattr(row, self.order.column)
        text = orjson.dumps([self.order.column, self.order.descending, key, row.id])  # type: ignore[attr-defined]
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def pages(
    connection: Connection, org_id: str, listing: Listing, parent_ids: Sequence[str]
) -> dict[str, Slice[Any]]:
    """The same page of the list below each parent, in one statement however many parents there are.

    Raises InvalidInput for a cursor of another order, or bad bounds.
    """
    query = _page_of(listing) if len(parent_ids) == 1 else _pages_of(listing)
    found: dict[str, list[Any]] = {id_: [] for id_ in parent_ids}
    for row in fetch_all(connection, query, listing.model, org_id=org_id, parent_ids=sorted(parent_ids)):
        found[getattr(row, listing.parent)].append(row)
    return {id_: _slice(rows, listing.order, listing.window) for id_, rows in found.items()}


@lru_cache(_MOST_STATEMENTS)
def _page_of(listing: Listing) -> Select[Any]:
    """The list below a single parent. Which rows is settled first: an index may know that alone, and reads no others."""
    table, by = table_of(listing.model), _ordering(listing)
    wanted = select(table.c.id).where(*_wanted(listing)).order_by(*by).limit(listing.window.size + 1)
    return select(table).where(table.c.id.in_(wanted)).order_by(*by)


@lru_cache(_MOST_STATEMENTS)
def _pages_of(listing: Listing) -> Select[Any]:
    """The lists below several."""
    table = table_of(listing.model)
    place = (
        func.row_number()
        .over(partition_by=table.c[listing.parent], order_by=_ordering(listing))
        .label("place")
    )
    ranked = select(table, place).where(*_wanted(listing)).subquery()
    query = select(*(ranked.c[column.name] for column in table.c))
    return query.where(ranked.c.place <= listing.window.size + 1).order_by(ranked.c.place)


def _wanted(listing: Listing) -> list[ColumnElement[bool]]:
    table = table_of(listing.model)
    return [
        table.c.org_id == bindparam("org_id"),
        table.c[listing.parent].in_(listed("parent_ids")),
        *clauses(listing.model, listing.conditions),
        *_bounds(listing),
    ]


def totals(
    connection: Connection,
    model: type[SQLModel],
    parent: str,
    parent_ids: Sequence[str],
    conditions: Sequence[ColumnElement[bool]],
) -> dict[str, int]:
    """How many rows the whole list below each parent has; parents without any are left out."""
    column = table_of(model).c[parent]
    query = (
        select(column, func.count().label("n"))
        .where(*conditions, column.in_(sorted(parent_ids)))
        .group_by(column)
    )
    return {row[0]: row.n for row in connection.execute(query)}


def _bounds(listing: Listing) -> list[ColumnElement[bool]]:
    table, order, window = table_of(listing.model), listing.order, listing.window
    column, id_, found = table.c[order.column], table.c.id, []
    for text, name, behind in ((window.after, "after", True), (window.before, "before", False)):
        if text is not None:
            key = _parse(text, listing, name, column)
            found.append(_beyond(column, id_, key, behind != order.descending, order.descending))
    return found


def _ordering(listing: Listing) -> list[ColumnElement[Any]]:
    table, order, window = table_of(listing.model), listing.order, listing.window
    # Walking backward is walking forward in the opposite order, and turning the page round at the end.
    flipped = order.descending != window.backward
    column, id_ = table.c[order.column], table.c.id
    tie = id_.desc() if flipped else id_.asc()
    return [*_direction(column, id_, flipped, window.backward), tie]


def _slice(rows: list[Record], order: Order, window: Window) -> Slice[Record]:
    more = len(rows) > window.size
    rows = rows[: window.size]
    if window.backward:
        rows.reverse()
        return Slice(rows, order, has_next=window.before is not None, has_previous=more)
    return Slice(rows, order, has_next=more, has_previous=window.after is not None)


def _direction(
    column: ColumnElement[Any], id_: ColumnElement[Any], flipped: bool, backward: bool
) -> list[ColumnElement[Any]]:
    if column is id_:
        return []
    if not getattr(column, "nullable", True):
        return [column.desc() if flipped else column.asc()]
    nulls = column.is_(None)
    return [nulls.desc() if backward else nulls.asc(), column.desc() if flipped else column.asc()]


def _beyond(
    column: ColumnElement[Any], id_: ColumnElement[Any], key: tuple[Any, str], greater: bool, descending: bool
) -> ColumnElement[bool]:
    """Rows on one side of a place in the order; rows without a value stand behind all others."""
    value, row_id = key
    further = id_ > row_id if greater else id_ < row_id
    if column is id_:
        return further
    behind = greater != descending
    if value is None:
        tie = and_(column.is_(None), further)
        return tie if behind else or_(column.is_not(None), tie)
    if not getattr(column, "nullable", True):
        # As one comparison of pairs, which an index on both columns answers by going straight to the place.
        pair, place = tuple_(column, id_), tuple_(literal(value, column.type), literal(row_id, id_.type))
        return pair > place if greater else pair < place
    side = column > value if greater else column < value
    here = or_(side, and_(column == value, further))
    return or_(here, column.is_(None)) if behind else here


def _parse(text: str, listing: Listing, name: str, sorted_by: ColumnElement[Any]) -> tuple[Any, str]:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        column, descending, value, row_id = orjson.loads(raw)
        if (column, descending) != (listing.order.column, listing.order.descending):
            raise ValueError
        if not _text(row_id).startswith(f"{Prefix[listing.model.__name__.upper()]}_"):
            raise ValueError  # many lists have an order of that name
        return _value(value, sorted_by), row_id
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise InvalidInput(
            f"{name} is not a cursor of this list in this order",
            hint="Send a cursor that this list gave.",
            path=[name],
        ) from error


def _value(value: Any, sorted_by: ColumnElement[Any]) -> Any:
    """What a cursor says of the column sorted by. Cursors are not signed, so it may be anything."""
    if value is None:
        return None
    if isinstance(sorted_by.type, Integer):
        if type(value) is not int or abs(value) >= 2 ** (
            63 if isinstance(sorted_by.type, BigInteger) else 31
        ):
            raise ValueError
        return value
    if not isinstance(sorted_by.type, UTCDateTime):
        return _text(value)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:  # PostgreSQL knows no such text
        raise ValueError
    return value
