"""Statements for rows that come by the thousand: SQL and types are worked out once, not at each execution."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Insert, Update, bindparam, insert, update
from sqlmodel import SQLModel

from kici_gql.tables import table_of

Row = Sequence[Any]


class _Compiled(NamedTuple):
    sql: str
    json_sql: str | None
    processors: list[tuple[int, Callable[[Any], Any]]]


class Prepared:
    """A statement, and the columns that each row of values has, in order.

    On SQLite all rows go in as one JSON parameter of one statement. Row by row the driver would give up and fight for
    the interpreter's lock at each, which costs more than the row.
    """

    def __init__(self, statement: Insert | Update, columns: Sequence[str], *, as_json: bool = True) -> None:
        self._statement = statement
        self._columns = columns
        self._as_json = as_json
        self._known: dict[str, _Compiled] = {}
        self.is_update = isinstance(statement, Update)
        """Of several rows with one id, the last one counts; the id is the last value of a row."""

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Execute for each row."""
        if not rows:
            return
        compiled = self._known.get(connection.dialect.name) or self._compile(connection)
        ready = _processed(rows, compiled.processors)
        driver = sqlite_driver(connection)
        if driver is None:
            connection.exec_driver_sql(compiled.sql, [tuple(row) for row in ready])
        elif compiled.json_sql is None or len(ready) == 1:
            driver.executemany(compiled.sql, ready)
        else:
            driver.execute(compiled.json_sql, (orjson.dumps(ready).decode(),))

    def _compile(self, connection: Connection) -> _Compiled:
        compiled: Any = self._statement.compile(dialect=connection.dialect, column_keys=list(self._columns))
        assert list(compiled.positiontup) == list(self._columns), compiled.positiontup
        found = compiled._bind_processors  # noqa: SLF001 - there is no public way
        processors = [(place, found[name]) for place, name in enumerate(self._columns) if name in found]
        json_sql = self._json_sql() if self._as_json else None
        known = self._known[connection.dialect.name] = _Compiled(str(compiled), json_sql, processors)
        return known

    def _json_sql(self) -> str:
        """The same statement for SQLite, its rows taken from a JSON array of arrays."""
        table = self._statement.table.name  # type: ignore[union-attr]
        values = [f"json_extract(j.value, '$[{place}]')" for place in range(len(self._columns))]
        if not self.is_update:
            return f"INSERT INTO {table} ({', '.join(self._columns)}) SELECT {', '.join(values)} FROM json_each(?) AS j"  # noqa: S608
        pairs = ", ".join(
            f"{name} = {value}" for name, value in zip(self._columns, values[:-1], strict=False)
        )
        return f"UPDATE {table} SET {pairs} FROM json_each(?) AS j WHERE {table}.id = {values[-1]}"  # noqa: S608


class Pending:
    """Rows that wait to be written together with those of other transactions of the batch."""

    def __init__(self) -> None:
        self._inserts: dict[Prepared, list[Row]] = {}
        self._updates: dict[Prepared, dict[str, Row]] = {}

    def add(self, prepared: Prepared, rows: Sequence[Row]) -> None:
        if prepared.is_update:
            self._updates.setdefault(prepared, {}).update((row[-1], row) for row in rows)
        else:
            self._inserts.setdefault(prepared, []).extend(rows)

    def drained(self) -> Iterator[tuple[Prepared, Sequence[Row]]]:
        """What waits, statement by statement; nothing waits afterwards."""
        updates, inserts = self._updates, self._inserts
        self._updates, self._inserts = {}, {}
        for prepared, updated in updates.items():
            # In order of id, so that two processes that write the same rows can't wait for each other.
            yield prepared, [updated[id_] for id_ in sorted(updated)]
        yield from inserts.items()

    def flush(self, connection: Connection) -> None:
        """Write all of it."""
        for prepared, rows in self.drained():
            prepared.run(connection, rows)


def prepared_insert(model: type[SQLModel], *, as_json: bool = True) -> Prepared:
    """Insert whole rows: a value for each column of the table, in its order. JSON can't hold bytes."""
    table = table_of(model)
    return Prepared(insert(table), [column.name for column in table.c], as_json=as_json)


def prepared_update(model: type[SQLModel], *columns: str) -> Prepared:
    """Write these columns of the row whose id is the last value."""
    table = table_of(model)
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    # SQL names the columns in the order of the table, whatever the order here.
    ordered = [column.name for column in table.c if column.name in values]
    assert ordered == list(columns), f"name the columns in the order of the table: {ordered}"
    return Prepared(update(table).where(table.c.id == bindparam("_id")).values(values), [*columns, "_id"])


def sqlite_driver(connection: Connection) -> Any:
    """The driver's own connection where that is sqlite3 itself; None elsewhere."""
    return connection.connection.driver_connection if connection.dialect.driver == "pysqlite" else None


def _processed(rows: Sequence[Row], processors: Sequence[tuple[int, Callable[[Any], Any]]]) -> list[Row]:
    """The rows as the driver wants them. Within one call a column mostly has one value, such as the time."""
    ready: list[list[Any]] = [list(row) for row in rows]
    for place, process in processors:
        last = printed = None
        for row in ready:
            if row[place] is not last:
                last = row[place]
                printed = process(last)
            row[place] = printed if last is not None else process(None)
    return ready  # type: ignore[return-value]
