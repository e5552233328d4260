"""Every error the product can answer with.

    KiciError
    ├── Unauthenticated         no token, or one that is unknown, expired or revoked
    ├── Forbidden               the token's scope, org or cluster does not allow it
    │   └── OperationDisabled   the cluster's own operator does not allow it from outside
    ├── InvalidInput            a value is missing, malformed or out of bounds
    ├── NotFound                nothing of that name or id in this org
    │   ├── UnknownConnection   the orchestrator has to connect (again) first
    │   └── Renamed             it has another name now; `hint` says which
    ├── Conflict                the present state does not allow it
    │   ├── NameTaken           another object of this org has that name
    │   ├── VersionConflict     somebody changed the object since it was read
    │   └── IdempotencyConflict the same key was used with another input
    ├── ClusterDisconnected     the orchestrator holds the truth and can't be asked
    ├── LimitExceeded           a stated limit was reached
    ├── Unavailable             the server cannot do it now; the same request may work later
    └── Internal                a fault of the server; its log says more

`code` is stable and public (`enum ErrorCode`), `retryable` says whether the very same request may
succeed later, `hint` says what to do. Nothing here carries SQL, a stack or a secret.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """Stable, public names of what can go wrong."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    UNKNOWN_CONNECTION = "UNKNOWN_CONNECTION"
    RENAMED = "RENAMED"
    OPERATION_DISABLED = "OPERATION_DISABLED"
    CONFLICT = "CONFLICT"
    NAME_TAKEN = "NAME_TAKEN"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    CLUSTER_DISCONNECTED = "CLUSTER_DISCONNECTED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class KiciError(Exception):
    """Base of all errors a caller may see; `message` says what was wrong, `hint` what would be right."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    retryable: bool = False

    def __init__(
        self, message: str, *, hint: str | None = None, path: Sequence[str | int] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = None if path is None else tuple(str(step) for step in path)


class Unauthenticated(KiciError):
    code = ErrorCode.UNAUTHENTICATED


class Forbidden(KiciError):
    code = ErrorCode.FORBIDDEN


class InvalidInput(KiciError):
    code = ErrorCode.INVALID_INPUT


class NotFound(KiciError):
    code = ErrorCode.NOT_FOUND


class UnknownConnection(NotFound):
    code = ErrorCode.UNKNOWN_CONNECTION


class Renamed(NotFound):
    code = ErrorCode.RENAMED


class OperationDisabled(Forbidden):
    """`operation` is KiCI's name of the write, `command_line` does the same on the orchestrator's host."""

    code = ErrorCode.OPERATION_DISABLED

    def __init__(self, message: str, *, operation: str, command_line: str) -> None:
        super().__init__(message, hint=f"Run on the orchestrator's host: {command_line}")
        self.operation = operation
        self.command_line = command_line


class Conflict(KiciError):
    code = ErrorCode.CONFLICT


class NameTaken(Conflict):
    code = ErrorCode.NAME_TAKEN


class VersionConflict(Conflict):
    """`current_id` names the object, so that the answer can show its present state."""

    code = ErrorCode.VERSION_CONFLICT

    def __init__(self, message: str, *, current_id: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, path=("expectedVersion",))
        self.current_id = current_id


class IdempotencyConflict(Conflict):
    code = ErrorCode.IDEMPOTENCY_CONFLICT


class ClusterDisconnected(KiciError):
    code = ErrorCode.CLUSTER_DISCONNECTED
    retryable = True


class LimitExceeded(KiciError):
    """`passing`: the limit is on what goes on at once. What is too much by itself will be too much tomorrow as well."""

    code = ErrorCode.LIMIT_EXCEEDED

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: Sequence[str | int] | None = None,
        passing: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.retryable = passing


class Unavailable(KiciError):
    code = ErrorCode.UNAVAILABLE
    retryable = True


class Internal(KiciError):
    code = ErrorCode.INTERNAL
    retryable = True
