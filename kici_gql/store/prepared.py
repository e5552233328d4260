"""Statements for rows that come by the thousand: SQL and types are worked out once, not at each execution."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Insert, Update, bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from kici_gql.tables import table_of

Row = Sequence[Any]


class _Compiled(NamedTuple):
    sql: str
    processors: list[tuple[int, Callable[[Any], Any]]]


class Prepared:
    """A statement, and the columns that each row of values has, in order.

    On SQLite many rows go in with one statement. One by one the driver would give up and fight for the interpreter's
    lock at each, which costs more than the row.
    """

    def __init__(self, statement: Insert | Update, columns: Sequence[str], *, upserts: bool = False) -> None:
        self._statement = statement
        self._columns = columns
        self._upserts = upserts
        self._known: dict[str, _Compiled] = {}
        self._many: dict[int, str] = {}
        self.key = len(columns) - 1 if isinstance(statement, Update) else 0 if upserts else None
        """Where in a row its id stands. Of several rows with one id, the last one counts; None: all rows count."""

    def row_of(self, record: SQLModel) -> Row:
        """What a record has in these columns."""
        return [getattr(record, name) for name in self._columns]

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Execute for each row that counts."""
        if self.key is not None:
            rows = self._last_of_each_id(rows)
        if not rows:
            return
        compiled = self._known.get(connection.dialect.name) or self._compile(connection)
        width, values = len(self._columns), list(chain.from_iterable(rows))
        for place, process in compiled.processors:
            values[place::width] = _processed(process, values[place::width])
        driver = sqlite_driver(connection)
        if driver is None:
            connection.exec_driver_sql(compiled.sql, list(zip(*[iter(values)] * width, strict=True)))
            return
        done = 0
        while done < len(rows):
            size = _portion(len(rows) - done, width)
            sql = self._many.get(size) or self._many_at_once(size)
            driver.execute(sql, values[done * width : (done + size) * width])
            done += size

    def _last_of_each_id(self, rows: Sequence[Row]) -> Sequence[Row]:
        last = {row[self.key]: row for row in rows}  # type: ignore[index]
        # In order of id, so that two processes that write the same rows can't wait for each other.
        return [last[id_] for id_ in sorted(last)]

    def _compile(self, connection: Connection) -> _Compiled:
        statement: Any = self._statement
        if self._upserts:
            statement = _upserting(statement, connection.dialect.name)
        compiled: Any = statement.compile(dialect=connection.dialect, column_keys=list(self._columns))
        assert list(compiled.positiontup) == list(self._columns), compiled.positiontup
        found = compiled._bind_processors  # noqa: SLF001 - there is no public way
        processors = [(place, found[name]) for place, name in enumerate(self._columns) if name in found]
        known = self._known[connection.dialect.name] = _Compiled(str(compiled), processors)
        return known

    def _many_at_once(self, size: int) -> str:
        """The same statement for SQLite and that many rows."""
        table = self._statement.table.name  # type: ignore[union-attr]
        row = f"({', '.join('?' * len(self._columns))})"
        values = "VALUES " + ", ".join([row] * size)
        if isinstance(self._statement, Update):
            pairs = ", ".join(f"{name} = v.column{place}" for place, name in enumerate(self._columns[:-1], 1))
            key = f"v.column{len(self._columns)}"
            sql = f"UPDATE {table} SET {pairs} FROM ({values}) AS v WHERE {table}.id = {key}"  # noqa: S608
        else:
            sql = f"INSERT INTO {table} ({', '.join(self._columns)}) {values}"
        if self._upserts:
            pairs = ", ".join(f"{name} = excluded.{name}" for name in self._columns[1:])
            sql = f"{sql} ON CONFLICT ({self._columns[0]}) DO UPDATE SET {pairs}"
        self._many[size] = sql
        return sql


_MOST_ROWS, _MOST_VALUES = 256, 32_766  # what SQLite takes by default


def _portion(rows: int, columns: int) -> int:
    """How many of them go in next: a power of two, so that there are few different statements to prepare."""
    at_most = min(rows, _MOST_ROWS, _MOST_VALUES // columns)
    return 1 << (at_most.bit_length() - 1)


def _upserting(statement: Insert, dialect: str) -> Any:
    dialects: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    insert_ = dialects[dialect](statement.table)
    key, *others = insert_.excluded
    return insert_.on_conflict_do_update(index_elements=[key.name], set_={each.name: each for each in others})


class Pending:
    """Rows that wait to be written together with those of other transactions of the batch."""

    def __init__(self) -> None:
        self.rows: dict[Prepared, list[Row]] = {}

    def add(self, prepared: Prepared, rows: Iterable[Row]) -> None:
        self.rows.setdefault(prepared, []).extend(rows)

    def absorb(self, later: "Pending") -> None:
        """Add all that waits there."""
        for prepared, rows in later.rows.items():
            self.add(prepared, rows)

    def flush(self, connection: Connection) -> None:
        """Write all of it, what counts but once before what is only added; nothing waits afterwards."""
        waiting, self.rows = self.rows, {}
        for prepared, rows in sorted(waiting.items(), key=lambda each: each[0].key is None):
            prepared.run(connection, rows)


def prepared_insert(model: type[SQLModel]) -> Prepared:
    """Insert whole rows: a value for each column of the table, in its order."""
    table = table_of(model)
    return Prepared(insert(table), [column.name for column in table.c])


def prepared_upsert(model: type[SQLModel]) -> Prepared:
    """Insert whole rows, or write them over those with the same key, which is the first column."""
    table = table_of(model)
    return Prepared(insert(table), [column.name for column in table.c], upserts=True)


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


def _processed(process: Callable[[Any], Any], column: Sequence[Any]) -> list[Any]:
    """A column's values as the driver wants them. Within one call they are mostly the same, such as the time."""
    first = column[0]
    if column.count(first) == len(column):
        return [process(first)] * len(column)
    return list(map(process, column))
