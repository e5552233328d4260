"""Rows in and out, for all tables alike.

What is read comes back as Core rows: read-only, with the attributes of the row class, and several times cheaper
than mapped objects. The casts below say so to the type checker.

Statements that run often are built once, with parameters in place of values: building one costs SQLAlchemy five times
as much as executing it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import orjson
from sqlalchemy import Connection, Delete, Insert, Row, Select, bindparam, delete, insert, select, update
from sqlmodel import SQLModel

from kici_gql.tables import table_of

Record = TypeVar("Record", bound=SQLModel)

# Columns that steer the server itself; an event's reader has no use for them.
_INTERNAL = frozenset(
    {
        "org_id",
        "due_at",
        "sha256",
        "stamps",
        "duration_order_ms",
        "asked_live",
        "listens_at",
        "dead_letters",
        "serial",
    }
)


def dumps(value: Any) -> str:
    """JSON as it stands in a column."""
    return orjson.dumps(value).decode()


def fetch_all(
    connection: Connection, query: Select[Any], _model: type[Record], **values: Any
) -> Sequence[Record]:
    return cast(Sequence[Record], connection.execute(query, values).all())


def fetch_one(
    connection: Connection, query: Select[Any], _model: type[Record], **values: Any
) -> Record | None:
    return cast(Record | None, connection.execute(query, values).first())


def by_id(connection: Connection, model: type[Record], org_id: str, id_: str) -> Record | None:
    """The org's object of that id."""
    if "\0" in id_:  # PostgreSQL refuses to look for it
        return None
    return fetch_one(connection, _by_id(model), model, id=id_, org_id=org_id)


@cache
def _by_id(model: type[SQLModel]) -> Select[Any]:
    table = table_of(model)
    return select(table).where(table.c.id == bindparam("id"), table.c.org_id == bindparam("org_id"))


def by_ids(
    connection: Connection, model: type[Record], org_id: str, ids: Collection[str]
) -> Sequence[Record]:
    possible = sorted(id_ for id_ in ids if "\0" not in id_)
    return fetch_all(connection, _by_ids(model), model, ids=possible, org_id=org_id)


@cache
def _by_ids(model: type[SQLModel]) -> Select[Any]:
    table = table_of(model)
    return select(table).where(table.c.id.in_(listed("ids")), table.c.org_id == bindparam("org_id"))


def listed(name: str) -> Any:
    """A parameter of a statement that stands for any number of values, for `in_`."""
    return bindparam(name, expanding=True)


def add(connection: Connection, row: Record) -> Record:
    """Insert one row."""
    connection.execute(_insert(type(row)), [row.model_dump()])
    return row


@cache
def _insert(model: type[SQLModel]) -> Insert:
    return insert(table_of(model))


def add_many(connection: Connection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(_insert(model), list(rows))


def change(
    connection: Connection, model: type[Record], id_: str, values: Mapping[str, Any], key: str = "id"
) -> Record:
    """Write some columns of one row and return the whole row as it is now."""
    return cast(Record, connection.execute(_change(model, key, *values), {**values, "_key": id_}).one())


@lru_cache(500)  # of the columns of a run, for one, any may change together
def _change(model: type[SQLModel], key: str, *columns: str) -> Any:
    table = table_of(model)
    query = update(table).where(table.c[key] == bindparam("_key"))
    return query.values({name: bindparam(name) for name in columns}).returning(*table.c)


def remove(connection: Connection, model: type[SQLModel], ids: Iterable[str]) -> None:
    connection.execute(_remove(model), {"ids": list(ids)})


@cache
def _remove(model: type[SQLModel]) -> Delete:
    table = table_of(model)
    return delete(table).where(table.c.id.in_(listed("ids")))


def made(model: type[Record], **values: Any) -> Record:
    """A row that is yet to be written, with the defaults of its class: a plain object, an ORM one costs ten times more."""
    return cast(Record, SimpleNamespace(**{**_defaults(model), **values}))


@cache
def _defaults(model: type[SQLModel]) -> Mapping[str, Any]:
    return {name: field.default for name, field in model.model_fields.items() if not field.is_required()}


def turned(row: Record, values: Mapping[str, Any]) -> Record:
    """The row with other values: what is written of it as a whole need not be read again."""
    return cast(Record, SimpleNamespace(**{**_mapping_of(row), **values}))


def state_of(row: SQLModel) -> dict[str, Any]:
    """A row as the data of an event: everything but what only the server itself needs."""
    # SQLAlchemy names the columns of a join in a text class of its own, which is no key of a JSON object.
    return {str(name): value for name, value in _mapping_of(row).items() if name not in _INTERNAL}


def _mapping_of(row: SQLModel) -> Mapping[str, Any]:
    what: Any = row
    if isinstance(what, Row):
        return cast(Mapping[str, Any], what._mapping)  # noqa: SLF001 - public, in spite of its name
    return vars(what) if isinstance(what, SimpleNamespace) else row.model_dump()
