"""Filters as SQL."""

from collections.abc import Sequence

import orjson
from sqlalchemy import ColumnElement, Text, cast, func, or_
from sqlmodel import SQLModel

from kici_gql.rules.filters import Condition
from kici_gql.tables import table_of


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
