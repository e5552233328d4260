"""Filters as values: one form that SQL and a running stream both understand, so that both find the same."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Boolean, ColumnElement, Integer, Text, and_, literal, not_, or_, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import SQLModel

from kici_gql.tables import table_of

Operator = Literal["in", "contains", "has", "null", "since", "until", "stale"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one column.

    `in`: it equals one of the values; `contains`: it has the text somewhere, in any case; `has`: the list in it has
    one of the values; `null`: it has no value; `since` and `until`: it is a time from a moment on, or before it. `stale` is about a workflow as a whole: whether it is (first value)
    enabled and not triggered since a moment (second value).
    """

    field: str
    operator: Operator
    values: tuple[Any, ...]


def matches(conditions: Sequence[Condition], data: Mapping[str, Any]) -> bool:
    """Whether an object's state fulfils all conditions."""
    return all(
        _is_stale(condition, data)
        if condition.operator == "stale"
        else _fulfils(condition, data.get(condition.field))
        for condition in conditions
    )


def _is_stale(condition: Condition, data: Mapping[str, Any]) -> bool:
    wanted, since = condition.values
    last = data["last_triggered_at"]
    return bool(wanted) == (bool(data["enabled"]) and (last is None or _moment(last) < since))


def _moment(value: datetime | str) -> datetime:
    """The time that a row or an event holds."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _fulfils(condition: Condition, value: Any) -> bool:
    if condition.operator == "in":
        return value in condition.values
    if condition.operator == "null":
        return value is None
    if condition.operator in {"since", "until"}:
        return value is not None and (_moment(value) >= condition.values[0]) == (
            condition.operator == "since"
        )
    if condition.operator == "has":
        return any(item in condition.values for item in value or ())
    whole = _lower(str(value or ""))
    return any(_lower(text) in whole for text in condition.values)


def clauses(model: type[SQLModel], conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
    """One SQL condition for each of ours."""
    return [_clause(model, condition) for condition in conditions]


def _clause(model: type[SQLModel], condition: Condition) -> ColumnElement[bool]:
    if condition.operator == "stale":
        wanted, since = condition.values
        columns = table_of(model).c
        stale = and_(
            columns.enabled, or_(columns.last_triggered_at.is_(None), columns.last_triggered_at < since)
        )
        return stale if wanted else not_(stale)
    column = table_of(model).c[condition.field]
    if condition.operator == "in":
        return column.in_(condition.values)
    if condition.operator == "null":
        return column.is_(None)
    if condition.operator in {"since", "until"}:
        moment = condition.values[0]
        in_time: ColumnElement[bool] = column >= moment if condition.operator == "since" else column < moment
        return in_time
    if condition.operator == "has":
        return or_(*(_HasItemInSql(column, literal(value, Text)) for value in condition.values))
    return or_(*(_contains(column, _lower(text)) for text in condition.values))


def _contains(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Whether a text has another in it: LIKE has wildcards, and on SQLite opinions about letter cases."""
    return _PlaceInSql(_LowerInSql(column), part) > 0 if part else true()


# Databases disagree about the case of letters beyond A to Z, and so with Python: those keep theirs.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _lower(text: str) -> str:
    return text.translate(_LOWER)


class _PlaceInSql(FunctionElement[int]):
    """Where a text first has another in it, counted from 1; 0 when it has not."""

    type = Integer()
    inherit_cache = True


@compiles(_PlaceInSql)
def _compile_place(element: _PlaceInSql, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(_PlaceInSql, "postgresql")
def _compile_place_for_postgresql(element: _PlaceInSql, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


class _HasItemInSql(FunctionElement[bool]):
    """Whether a list that is stored as JSON has a text among its items."""

    type = Boolean()
    inherit_cache = True


@compiles(_HasItemInSql)
def _compile_has_item(element: _HasItemInSql, compiler: Any, **options: Any) -> str:
    items, wanted = (compiler.process(each, **options) for each in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({items}) AS item WHERE item.value = {wanted})"  # noqa: S608 - a column and a parameter


@compiles(_HasItemInSql, "postgresql")
def _compile_has_item_for_postgresql(element: _HasItemInSql, compiler: Any, **options: Any) -> str:
    items, wanted = (compiler.process(each, **options) for each in element.clauses)
    return f"jsonb_exists(CAST({items} AS jsonb), {wanted})"


class _LowerInSql(FunctionElement[str]):
    """What `_lower` does, in SQL."""

    inherit_cache = True


@compiles(_LowerInSql)
def _compile(element: _LowerInSql, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(_LowerInSql, "postgresql")
def _compile_for_postgresql(element: _LowerInSql, compiler: Any, **options: Any) -> str:
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'
