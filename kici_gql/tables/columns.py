"""How columns are declared."""

from enum import StrEnum
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Enum,
    Table,
)
from sqlmodel import Field, SQLModel


def json_column() -> Any:
    return Field(sa_column=Column(JSON, nullable=False))


def word_column(values: type[StrEnum]) -> Any:
    """A text column, not a native enum: a new value must not need a migration that locks the table."""
    return Field(sa_type=cast(Any, Enum(values, native_enum=False, length=32)))


def big_column(**options: Any) -> Any:
    return Field(sa_type=BigInteger, **options)


def table_of(model: type[SQLModel]) -> Table:
    """The Core table behind a row class, for statements."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]
