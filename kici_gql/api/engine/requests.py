"""A GraphQL request as every transport understands it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class MalformedRequest(Exception):
    """The request is no GraphQL request at all; the text says which part is not."""


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The four parameters of GraphQL over HTTP, checked for shape.

    `resume` is a cursor that the transport itself carried (`Last-Event-ID`); it counts only where the
    operation names no `after` of its own.
    """

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] | None = None
    resume: str | None = None


def read_request(payload: object, resume: str | None = None) -> GraphQLRequest:
    """Check a decoded JSON value; raises MalformedRequest."""
    if isinstance(payload, list):
        raise MalformedRequest("Batched requests are not supported: send one operation per request.")
    if not isinstance(payload, dict):
        raise MalformedRequest("A GraphQL request must be a JSON object.")
    query = payload.get("query")
    if query is None:
        raise MalformedRequest("Must provide query string.")
    if not isinstance(query, str):
        raise MalformedRequest('"query" must be a string.')
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        raise MalformedRequest('"operationName" must be a string or null.')
    return GraphQLRequest(
        query, name or None, _object(payload, "variables"), _object(payload, "extensions"), resume
    )


def _object(payload: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, dict):
        raise MalformedRequest(f'"{name}" must be an object or null.')
    return value
