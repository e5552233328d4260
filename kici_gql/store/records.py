"""Rows in and out, for all tables alike.

What is read comes back as Core rows: read-only, with the attributes of the row class, and several times cheaper
than mapped objects. The casts below say so to the type checker.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import orjson
from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update
from sqlmodel import SQLModel

from kici_gql.tables import table_of

Record = TypeVar("Record", bound=SQLModel)

# Columns that steer the server itself; an event's reader has no use for them.
_INTERNAL = frozenset({"org_id", "due_at", "sha256", "stamps", "duration_order_ms", "asked_live"})


def dumps(value: Any) -> str:
    """JSON as it stands in a column."""
    return orjson.dumps(value).decode()


def fetch_all(connection: Connection, query: Select[Any], _model: type[Record]) -> Sequence[Record]:
    return cast(Sequence[Record], connection.execute(query).all())


def fetch_one(connection: Connection, query: Select[Any], _model: type[Record]) -> Record | None:
    return cast(Record | None, connection.execute(query).first())


def by_id(connection: Connection, model: type[Record], org_id: str, id_: str) -> Record | None:
    """The org's object of that id."""
    table = table_of(model)
    if "\0" in id_:  # PostgreSQL refuses to look for it
        return None
    return fetch_one(connection, select(table).where(table.c.id == id_, table.c.org_id == org_id), model)


def by_ids(
    connection: Connection, model: type[Record], org_id: str, ids: Collection[str]
) -> Sequence[Record]:
    table = table_of(model)
    possible = sorted(id_ for id_ in ids if "\0" not in id_)
    query = select(table).where(table.c.id.in_(possible), table.c.org_id == org_id)
    return fetch_all(connection, query, model)


def add(connection: Connection, row: Record) -> Record:
    """Insert one row."""
    connection.execute(insert(table_of(type(row))), [row.model_dump()])
    return row


def add_many(connection: Connection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table_of(model)), list(rows))


def change(
    connection: Connection, model: type[Record], id_: str, values: Mapping[str, Any], key: str = "id"
) -> Record:
    """Write some columns of one row and return the whole row as it is now."""
    table = table_of(model)
    query = update(table).where(table.c[key] == id_).values(**values).returning(*table.c)
    return cast(Record, connection.execute(query).one())


def change_many(connection: Connection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the same columns of several rows in one statement; each mapping names its row with `id`."""
    if not rows:
        return
    table = table_of(model)
    columns = [name for name in rows[0] if name != "id"]
    query = (
        update(table)
        .where(table.c.id == bindparam("_id"))
        .values({name: bindparam(name) for name in columns})
    )
    # In order of id, so that two processes that write the same rows can't wait for each other.
    ordered = sorted(rows, key=lambda row: cast(str, row["id"]))
    connection.execute(
        query, [{"_id": row["id"], **{name: row[name] for name in columns}} for row in ordered]
    )


def remove(connection: Connection, model: type[SQLModel], ids: Iterable[str]) -> None:
    table = table_of(model)
    connection.execute(delete(table).where(table.c.id.in_(list(ids))))


def state_of(row: SQLModel) -> dict[str, Any]:
    """A row as the data of an event: everything but what only the server itself needs."""
    mapping: Mapping[str, Any] = row._mapping if hasattr(row, "_mapping") else row.model_dump()  # noqa: SLF001
    # SQLAlchemy names the columns of a join in a text class of its own, which is no key of a JSON object.
    return {str(name): value for name, value in mapping.items() if name not in _INTERNAL}
