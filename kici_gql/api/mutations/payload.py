"""Payloads: success, or a typed error as data."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlmodel import SQLModel

from kici_gql import tables
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.errors import as_data
from kici_gql.errors import KiciError, NotFound

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


async def row_of(info: Info, model: type[SQLModel], id_: str) -> Any:
    """The row that an action was about. Raises NotFound when it has gone since, as it may before an answer is replayed."""
    row = await info.context.load.one(model, id_)
    if row is None:
        kind = str(model.__tablename__).replace("_", " ")
        raise NotFound(f"this was done, and the {kind} that it was about is gone since")
    return row


async def asked(info: Info, done: Done) -> dict[str, Any]:
    """What every answer has that is about a command."""
    command = await row_of(info, tables.Command, done.result["command_id"])
    return {"command": command, "cursor": cursor_of(done), "replayed": done.replayed}
