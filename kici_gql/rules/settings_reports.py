"""What orchestrators tell of their own settings: names and rules, never a secret's value."""

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from kici_gql.errors import InvalidInput, LimitExceeded
from kici_gql.rules.reports import (
    MAX_MESSAGE,
    check_count,
    check_number,
    check_text,
    check_texts,
    check_unique,
)
from kici_gql.rules.secrets import looks_secret, redacted
from kici_gql.tables import BackendHealth

MAX_ITEMS = 1000
MAX_DOCUMENT = 512 * 1024
_FREE_TEXTS = frozenset({"reason", "lastError"})


class Backend(Protocol):
    name: str
    type: str
    connected: bool
    health: BackendHealth
    scopes: list[str]
    last_sync_at: datetime | None
    last_error: str | None


class Setting(Protocol):
    key: str


class Write(Protocol):
    operation: str


class Policy(Protocol):
    @property
    def settings(self) -> Sequence[Setting]: ...
    @property
    def writes(self) -> Sequence[Write]: ...


def check_policy(policy: Policy) -> None:
    """Raises InvalidInput when it says something twice: who may write is not to depend on which of them counts."""
    check_unique((each.key for each in policy.settings), ["securityPolicy", "settings"], "key")
    check_unique((each.operation for each in policy.writes), ["securityPolicy", "writes"], "operation")


def check_backends(backends: Sequence[Backend]) -> None:
    """Raises InvalidInput or LimitExceeded when a backend is malformed or named twice."""
    check_count(backends, "secretBackends", MAX_ITEMS)
    check_unique((each.name for each in backends), ["secretBackends"], "name")
    for index, each in enumerate(backends):
        path: list[str | int] = ["secretBackends", index]
        check_text(each.name, [*path, "name"])
        check_text(each.type, [*path, "type"])
        check_texts(each.scopes, [*path, "scopes"], MAX_ITEMS)
        _refuse_secrets(str([each.name, each.type, each.scopes]), path)
        if each.last_error is not None:
            check_text(each.last_error, [*path, "lastError"], MAX_MESSAGE, empty=True)


def check_document(document: Mapping[str, Any], path: str) -> None:
    """Raises LimitExceeded when it is too large, InvalidInput when it is malformed or holds a secret's value."""
    items: Sequence[Mapping[str, Any]] = document.get("items", ())
    check_count(items, path, MAX_ITEMS)
    field = "id" if items and "id" in items[0] else "name"
    check_unique((each[field] for each in items), [path], field)
    for index, each in enumerate(items):
        check_text(each[field], [path, index, field])
    text = str(document)
    if len(text) > MAX_DOCUMENT:
        raise LimitExceeded(
            f"{path} has {len(text)} characters", hint=f"At most {MAX_DOCUMENT}.", path=[path]
        )
    _refuse_secrets(text, [path])
    _check_inside(items or document, [path])


def _check_inside(value: object, path: Sequence[str | int]) -> None:
    match value:
        case str():
            check_text(value, path, MAX_DOCUMENT, empty=True)
        case bool():
            pass
        case int():
            check_number(value, path)
        case Mapping():
            for name, each in value.items():
                check_text(name, path)
                if name not in _FREE_TEXTS:
                    _check_inside(each, [*path, name])
        case list():
            for index, each in enumerate(value):
                _check_inside(each, [*path, index])


def with_texts_redacted(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with its free texts redacted: an error quotes what it likes, and must not cost the whole report."""
    if "items" not in document:
        return document
    items = [
        {name: redacted(value) if name in _FREE_TEXTS and value else value for name, value in each.items()}
        for each in document["items"]
    ]
    return {**document, "items": items}


def _refuse_secrets(text: str, path: Sequence[str | int]) -> None:
    if looks_secret(text):
        raise InvalidInput(
            "something looks like the value of a secret", hint="Send names, never values.", path=path
        )


# KiCI's names of the writes that an operator may switch off for everybody outside, with the line that does the same. KiCI's
# own table says `backend sync --one`, but its program knows no such option and takes the name alone.
COMMAND_LINES: dict[str, str] = {
    "registration.disable": "kici-admin registration disable <registration>",
    "registration.delete": "kici-admin registration delete <registration>",
    "event_dlq.retry": "kici-admin event-dlq retry <event>",
    "event_dlq.discard": "kici-admin event-dlq discard <event>",
    "backends.sync": "kici-admin backend sync",
    "backends.sync_one": "kici-admin backend sync <backend>",
    "backends.test": "kici-admin backend test <backend>",
}

_SUBJECT = re.compile("<[a-z]+>")


def command_line(operation: str, subject: str | None = None) -> str:
    """The line to paste into a shell on the orchestrator's host; `subject` is what it is about."""
    line = COMMAND_LINES[operation]
    return line if subject is None else _SUBJECT.sub(lambda _: shlex.quote(subject), line)


class WriteState(StrEnum):
    """What a cluster's operator says of one kind of write from outside."""

    ALLOWED = "ALLOWED"
    SEALED_ONLY = "SEALED_ONLY"
    DISABLED = "DISABLED"


_STATES = {
    "disabled": WriteState.DISABLED,
    "encrypted": WriteState.SEALED_ONLY,
    "sealed_only": WriteState.SEALED_ONLY,
}


def write_state(told: object) -> WriteState:
    """The state that a word stands for: KiCI 0.1 tells booleans, 0.9 words. A word we don't know forbids nothing."""
    if told is False:
        return WriteState.DISABLED
    return _STATES.get(told.lower(), WriteState.ALLOWED) if isinstance(told, str) else WriteState.ALLOWED


def state_of(policy: Mapping[str, Any], operation: str) -> WriteState:
    """The state of an operation. The policy is sparse: what it does not name is allowed."""
    return write_state(policy.get(operation))
