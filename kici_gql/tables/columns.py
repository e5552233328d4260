"""How columns are declared."""

from enum import StrEnum
from typing import Any, cast

import lz4.frame
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    Enum,
    Integer,
    LargeBinary,
    Table,
    TypeDecorator,
)
from sqlmodel import Field, SQLModel


def json_column() -> Any:
    return Field(sa_column=Column(JSON, nullable=False))


def word_column(values: type[StrEnum]) -> Any:
    """A text column, not a native enum: a new value must not need a migration that locks the table."""
    return Field(sa_type=cast(Any, Enum(values, native_enum=False, length=32)))


def big_column(**options: Any) -> Any:
    return Field(sa_type=BigInteger, **options)


def number_key(*constraints: Any) -> Any:
    """A primary key that is given, not counted. SQLite finds rows by it without an index if it is called INTEGER."""
    type_ = BigInteger().with_variant(Integer, "sqlite")
    return Field(sa_column=Column(type_, *constraints, primary_key=True, autoincrement=False))


def table_of(model: type[SQLModel]) -> Table:
    """The Core table behind a row class, for statements."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]


_MAGIC = b"\x04\x22\x4d\x18"  # https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
_WORTHWHILE = 512  # bytes


class Compressed(TypeDecorator[bytes]):
    """Encoded JSON, stored as an LZ4 frame unless it is short.

    The beats of one push tell nearly the same of each agent and become a tenth. Compressing them takes 3 µs, writing
    what that saves took twenty times as long. JSON never begins as a frame does, so rows from before are read as well.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        if value is None or len(value) < _WORTHWHILE:
            return value
        return cast(bytes, lz4.frame.compress(value))

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        if value is None or not value.startswith(_MAGIC):
            return value
        return cast(bytes, lz4.frame.decompress(value))
