"""Which representation of the answer the client wants: GraphQL over HTTP's media types and event streams."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

GRAPHQL_JSON = "application/graphql-response+json"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


class _Range(NamedTuple):
    type: str
    subtype: str
    quality: float


class Accept:
    """A parsed `Accept` header; a missing one accepts JSON.

    `json` is the JSON type to answer with, None when neither is acceptable. Where both are equally welcome the newer
    one is taken if it was named: its status codes say more. `events` says whether an event stream was asked for by
    name; a wildcard never means one.
    """

    def __init__(self, header: str | None) -> None:
        self._ranges = [_range(part) for part in (header or "*/*").split(",") if part.strip()]
        self.json = self._json()
        self.events = self._names(EVENT_STREAM) and self._quality(EVENT_STREAM) > 0

    def _json(self) -> str | None:
        new, old = self._quality(GRAPHQL_JSON), self._quality(JSON)
        if new <= 0 and old <= 0:
            return None
        return GRAPHQL_JSON if new > old or (new == old and self._names(GRAPHQL_JSON)) else JSON

    def _names(self, media_type: str) -> bool:
        return any(f"{accepted.type}/{accepted.subtype}" == media_type for accepted in self._ranges)

    def _quality(self, media_type: str) -> float:
        """The quality of the most specific range that covers the type."""
        type_, _, subtype = media_type.partition("/")
        best, quality = -1, 0.0
        for accepted in self._ranges:
            if accepted.type not in {type_, "*"} or accepted.subtype not in {subtype, "*"}:
                continue
            specific = (accepted.type != "*") + (accepted.subtype != "*")
            if specific > best:
                best, quality = specific, accepted.quality
        return quality


@lru_cache(256)
def accepted_by(header: str | None) -> Accept:
    """The parsed header. A client sends the same one with every request."""
    return Accept(header)


@lru_cache(256)
def media_type(header: str | None) -> tuple[str, Mapping[str, str]]:
    """A `Content-Type` as its lower-case type and parameters."""
    name, *parameters = (header or "").split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _range(text: str) -> _Range:
    name, parameters = media_type(text)
    type_, _, subtype = name.partition("/")
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 1.0
    return _Range(type_, subtype or "*", quality)
