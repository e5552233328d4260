"""Filters as values: one form that SQL and a running stream both understand, so that both find the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import ColumnElement, Text, cast, func, or_
from sqlmodel import SQLModel

from kici_gql.tables import table_of

Operator = Literal["in", "contains", "has", "null"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one column.

    `in`: it equals one of the values; `contains`: it has the text somewhere, in any case; `has`: the list in it has
    one of the values; `null`: it has no value.
    """

    field: str
    operator: Operator
    values: tuple[Any, ...]


def matches(conditions: Sequence[Condition], data: Mapping[str, Any]) -> bool:
    """Whether an object's state fulfils all conditions."""
    return all(_fulfils(condition, data.get(condition.field)) for condition in conditions)


def _fulfils(condition: Condition, value: Any) -> bool:
    if condition.operator == "in":
        return value in condition.values
    if condition.operator == "null":
        return value is None
    if condition.operator == "has":
        return any(item in condition.values for item in value or ())
    return any(text.lower() in str(value or "").lower() for text in condition.values)


def clauses(model: type[SQLModel], conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
    """One SQL condition for each of ours."""
    return [_clause(model, condition) for condition in conditions]


def _clause(model: type[SQLModel], condition: Condition) -> ColumnElement[bool]:
    column = table_of(model).c[condition.field]
    if condition.operator == "in":
        return column.in_(condition.values)
    if condition.operator == "null":
        return column.is_(None)
    if condition.operator == "has":
        # The list is stored as JSON text, where a whole quoted item can stand nowhere but as an item.
        items = [orjson.dumps(value).decode() for value in condition.values]
        return or_(*(cast(column, Text).contains(item, autoescape=True) for item in items))
    texts = [str(value).lower() for value in condition.values]
    return or_(*(func.lower(column).contains(text, autoescape=True) for text in texts))
