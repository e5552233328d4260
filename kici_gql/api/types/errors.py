"""Errors as data: one GraphQL type for each error that a caller can act on."""

from typing import Any

import strawberry

from kici_gql import errors
from kici_gql.api.context import Info
from kici_gql.api.types.base import Node
from kici_gql.errors import ErrorCode, KiciError


@strawberry.interface(name="Error", description="Something went wrong that the caller can act on.")
class Error:
    code: ErrorCode = strawberry.field(description="Stable name of the error.")
    message: str = strawberry.field(description="What was wrong, in words.")
    path: list[str] | None = strawberry.field(description="Where in the input, from the outside in.")
    retryable: bool = strawberry.field(description="Whether the very same request may succeed later.")
    hint: str | None = strawberry.field(description="What would be right, or what to do.")


@strawberry.type(description="A value is missing, malformed or out of bounds; `path` says which.")
class InvalidInput(Error): ...


@strawberry.type(description="The token's scope, org or cluster does not allow it.")
class Forbidden(Error): ...


@strawberry.type(description="Nothing of that name or id in this org.")
class NotFound(Error): ...


@strawberry.type(
    description="No orchestrator is connected with that `connectionId`: call `orchestratorConnect`."
)
class UnknownConnection(Error): ...


@strawberry.type(description="The cluster's own operator does not allow this write from outside.")
class OperationDisabled(Error):
    operation: str = strawberry.field(description="KiCI's name of the write.")
    command_line: str = strawberry.field(description="Line that does the same on the orchestrator's host.")


@strawberry.type(description="The present state does not allow it.")
class Conflict(Error): ...


@strawberry.type(description="Another object of this org has that name.")
class NameTaken(Error): ...


@strawberry.type(description="Somebody changed the object since it was read.")
class VersionConflict(Error):
    current_id: strawberry.Private[str]

    @strawberry.field(description="The object as it is now.")
    async def current(self, info: Info) -> Node | None:
        found: Node | None = await info.context.node(self.current_id)
        return found


@strawberry.type(description="The idempotency key was used with another input.")
class IdempotencyConflict(Error): ...


@strawberry.type(description="No orchestrator of the cluster is connected, so nobody can do or answer it.")
class ClusterDisconnected(Error): ...


@strawberry.type(description="A stated limit was reached; `message` names it.")
class LimitExceeded(Error): ...


_TYPES: dict[type[KiciError], type[Error]] = {
    errors.InvalidInput: InvalidInput,
    errors.Forbidden: Forbidden,
    errors.OperationDisabled: OperationDisabled,
    errors.NotFound: NotFound,
    errors.UnknownConnection: UnknownConnection,
    errors.Conflict: Conflict,
    errors.NameTaken: NameTaken,
    errors.VersionConflict: VersionConflict,
    errors.IdempotencyConflict: IdempotencyConflict,
    errors.ClusterDisconnected: ClusterDisconnected,
    errors.LimitExceeded: LimitExceeded,
}


def as_data(error: KiciError) -> Error:
    """The error as a member of a payload. Raises the error itself when it is not one that a caller can act on."""
    type_ = _TYPES.get(type(error))
    if type_ is None:
        raise error
    more: dict[str, Any] = {}
    if isinstance(error, errors.VersionConflict):
        more = {"current_id": error.current_id}
    elif isinstance(error, errors.OperationDisabled):
        more = {"operation": error.operation, "command_line": error.command_line}
    return type_(
        code=error.code,
        message=error.message,
        path=list(error.path) if error.path is not None else None,
        retryable=error.retryable,
        hint=error.hint,
        **more,
    )
