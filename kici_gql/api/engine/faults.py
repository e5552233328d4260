"""Errors on their way out: known ones with their code and hint, all others as `Internal error` and a request id."""

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from kici_gql.errors import ErrorCode, KiciError

logger = logging.getLogger("kici_gql.graphql")

FormattedError = dict[str, Any]

# GraphQL's own failures, beside `errors.ErrorCode`; the names are those most clients know.
PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
UNKNOWN_OPERATION = "OPERATION_RESOLUTION_FAILURE"
BAD_REQUEST = "BAD_REQUEST"


class RequestRefused(Exception):
    """The operation did not start; `errors` are ready to be sent."""

    def __init__(self, errors: Sequence[FormattedError]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = list(errors)


class StreamBroken(Exception):
    """An open stream cannot go on; `errors` are ready to be sent, and the client resumes with its cursor."""

    def __init__(self, errors: Sequence[FormattedError]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = list(errors)


_ids = random.Random()  # noqa: S311 - a name, not a secret; the system's own source is a call into the kernel


def new_request_id() -> str:
    """What ties an answer that says `Internal error` to its log entry."""
    return f"{_ids.getrandbits(64):016x}"


def problem(message: str, code: str, **extensions: object) -> FormattedError:
    """Build an error that never was an exception."""
    return {"message": message, "extensions": {"code": code, **extensions}}


def from_graphql(error: GraphQLError, code: str) -> FormattedError:
    """An error of the document or of its variables; its text is about what the caller sent."""
    formatted: FormattedError = {**error.formatted}
    formatted["extensions"] = {"code": code, **(error.extensions or {})}
    return formatted


def from_known(error: KiciError) -> FormattedError:
    """A typed error of ours as a top-level GraphQL error."""
    extensions: dict[str, object] = {"code": str(error.code), "retryable": error.retryable}
    if error.hint is not None:
        extensions["hint"] = error.hint
    if error.path is not None:
        extensions["inputPath"] = list(error.path)
    return {"message": error.message, "extensions": extensions}


def from_exception(error: BaseException, request_id: str) -> FormattedError:
    """Whatever was raised outside the fields of an operation; logs it when nobody was meant to see it."""
    if isinstance(error, KiciError):
        return from_known(error)
    logger.error("unexpected error in request %s", request_id, exc_info=error)
    return _masked(request_id)


def from_execution(errors: Sequence[GraphQLError], request_id: str) -> list[FormattedError]:
    """Errors of fields, in order. All unexpected ones of one request make one log entry."""
    unexpected = [error for error in errors if not _is_expected(error)]
    if unexpected:
        logger.error(
            "unexpected error in request %s at %s (%d in this request)",
            request_id, unexpected[0].path, len(unexpected), exc_info=_cause(unexpected[0]),
        )  # fmt: skip
    return [_field_error(error, request_id) for error in errors]


def _field_error(error: GraphQLError, request_id: str) -> FormattedError:
    cause = _cause(error)
    if isinstance(cause, KiciError):
        formatted = from_known(cause)
    elif _is_expected(error):
        formatted = from_graphql(error, ErrorCode.INVALID_INPUT)
    else:
        formatted = _masked(request_id)
    return {**formatted, **_place(error)}


def _place(error: GraphQLError) -> Mapping[str, Any]:
    place: dict[str, Any] = {}
    if error.locations:
        place["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        place["path"] = error.path
    return place


def _cause(error: GraphQLError) -> Exception:
    """What was raised in the first place, under all that graphql-core wrapped around it."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _is_expected(error: GraphQLError) -> bool:
    """Whether the text is about what the caller sent, and so is for the caller's eyes.

    graphql-core also raises GraphQLErrors of its own that quote the value it could not serialise.
    """
    cause = _cause(error)
    if isinstance(cause, KiciError | StrawberryInputCoercionError):
        return True
    if not isinstance(cause, GraphQLError):
        return False
    return "code" in (cause.extensions or {}) or cause.message.startswith("Argument '")


def _masked(request_id: str) -> FormattedError:
    return problem("Internal error", ErrorCode.INTERNAL, requestId=request_id, retryable=True)
