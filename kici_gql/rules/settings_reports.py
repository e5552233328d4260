"""What orchestrators tell of their own settings: names and rules, never a secret's value."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from kici_gql.errors import InvalidInput, LimitExceeded
from kici_gql.rules.reports import MAX_MESSAGE, check_count, check_text, check_texts, check_unique
from kici_gql.tables import BackendHealth

MAX_ITEMS = 1000
MAX_NAMES = 5000
MAX_DOCUMENT = 512 * 1024

# What real secrets look like. A name never does, so whoever puts a value where a name belongs is told.
_SECRET_SHAPES = re.compile(
    r"(?:(?:kgq_|kat_|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|hvs\.|AKIA[0-9A-Z]{12})[A-Za-z0-9_./+=-]*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9/+=\s-]*"
)


class Backend(Protocol):
    name: str
    type: str
    connected: bool
    health: BackendHealth
    scopes: list[str]
    last_sync_at: datetime | None
    last_error: str | None


def check_backends(backends: Sequence[Backend]) -> None:
    """Raises InvalidInput or LimitExceeded when a backend is malformed or named twice."""
    check_count(backends, "secretBackends", MAX_ITEMS)
    check_unique((each.name for each in backends), "secretBackends", "name")
    for index, each in enumerate(backends):
        path: list[str | int] = ["secretBackends", index]
        check_text(each.name, [*path, "name"])
        check_text(each.type, [*path, "type"])
        check_texts(each.scopes, [*path, "scopes"], MAX_ITEMS)
        if each.last_error is not None:
            check_text(each.last_error, [*path, "lastError"], MAX_MESSAGE, empty=True)


def check_items(items: Sequence[Any], name: str) -> None:
    """Raises InvalidInput or LimitExceeded when a list is too long or names something twice."""
    check_count(items, name, MAX_ITEMS)
    field = "id" if items and hasattr(items[0], "id") else "name"
    check_unique((getattr(each, field) for each in items), name, field)
    for index, each in enumerate(items):
        check_text(getattr(each, field), [name, index, field])


def check_document(document: Mapping[str, Any], path: str) -> None:
    """Raises LimitExceeded when it is too large, InvalidInput when something in it looks like a secret's value."""
    text = str(document)
    if len(text) > MAX_DOCUMENT:
        raise LimitExceeded(
            f"{path} has {len(text)} characters", hint=f"At most {MAX_DOCUMENT}.", path=[path]
        )
    if _SECRET_SHAPES.search(text):
        raise InvalidInput(
            f"something in {path} looks like the value of a secret",
            hint="Send names, never values.",
            path=[path],
        )


def redacted(text: str) -> str:
    """The text without whatever looks like a secret."""
    return _SECRET_SHAPES.sub("…", text)


# KiCI's names of the writes that an operator may switch off for everybody outside, with the line that does the same.
COMMAND_LINES: dict[str, str] = {
    "registration.disable": "kici-admin workflow disable <registration>",
    "registration.delete": "kici-admin workflow delete <registration>",
    "event_dlq.retry": "kici-admin event-dlq retry <event>",
    "event_dlq.discard": "kici-admin event-dlq discard <event>",
    "backends.sync": "kici-admin secret-backend sync",
    "backends.sync_one": "kici-admin secret-backend sync <backend>",
    "backends.test": "kici-admin secret-backend test <backend>",
}


def is_disabled(policy: Mapping[str, Any], operation: str) -> bool:
    """Whether the operator has switched this write off. The policy is sparse: what it does not name is allowed."""
    return policy.get(operation) in {False, "disabled", "DISABLED"}
