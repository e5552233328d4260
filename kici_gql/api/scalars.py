"""Scalars of the API."""

import re
from datetime import UTC, datetime
from typing import NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from kici_gql import events
from kici_gql.errors import InvalidInput

Cursor = NewType("Cursor", str)
"""A printed `events.Cursor`."""


def _print_time(value: datetime | str) -> str:
    """Times in events are printed already, but without microseconds when there are none."""
    if isinstance(value, str):
        return value if len(value) > len("2026-01-31T12:00:00Z") else f"{value[:-1]}.000000Z"
    return events.iso(value)


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _parse_time(value: object) -> datetime:
    try:
        if isinstance(value, str) and _RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidInput("not a DateTime", hint="Send RFC 3339 with an offset, such as 2026-01-31T12:00:00Z.")


def _parse_cursor(value: object) -> Cursor:
    try:
        return Cursor(str(events.Cursor.parse(value if isinstance(value, str) else "")))
    except ValueError:
        raise InvalidInput(
            "not a Cursor", hint="Send a cursor that this server gave you, unchanged."
        ) from None


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "A time in UTC as ISO-8601 in the form of RFC 3339, with microseconds, such as `2026-01-31T12:00:00.000000Z`. "
            "Any offset is taken."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        serialize=_print_time,
        parse_value=_parse_time,
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description=(
            "A position in the event log of one org, opaque. Queries, mutations and frames all carry one, and every "
            "subscription accepts one as `after`. At most 64 characters."
        ),
        serialize=str,
        parse_value=_parse_cursor,
    ),
}
