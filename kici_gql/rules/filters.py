"""Filters as values: one form that SQL and a running stream both understand, so that both find the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
