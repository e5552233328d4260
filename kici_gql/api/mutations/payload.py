"""Payloads: success, or a typed error as data."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from kici_gql.actions.perform import Done
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.errors import as_data
from kici_gql.errors import KiciError

S = TypeVar("S")

IDEMPOTENCY_KEY = (
    "Makes the call safe to repeat: the same key and input answers again with `replayed: true` for 24 hours. "
    "At most 256 characters."
)
CURSOR = "Position that the change reached; a stream that has passed it shows the change."
REPLAYED = "True when the same idempotency key had done it before; nothing happened this time."


async def answer(action: Awaitable[Done], success: Callable[[Done], Awaitable[S]]) -> Any:
    """What the action led to, or the error it ended with as data."""
    try:
        return await success(await action)
    except KiciError as error:
        return as_data(error)


def cursor_of(done: Done) -> Cursor:
    return Cursor(str(done.cursor))
