"""Workflows: when one is stale, whether a registry is in step, which inputs a run may have."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from kici_gql.errors import InvalidInput
from kici_gql.rules.reports import check_text
from kici_gql.rules.secrets import looks_secret

STALE_AFTER = timedelta(days=30)
SYNC_GRACE = timedelta(minutes=1)
MAX_VALUE = 32_768
# As JSON and shells write them; `float` takes spaces, underscores and the digits of all scripts as well.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class SyncStatus(StrEnum):
    IN_SYNC = "IN_SYNC"
    SYNCING = "SYNCING"
    STALE = "STALE"
    ERROR = "ERROR"


class InputType(StrEnum):
    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    CHOICE = "CHOICE"


def is_stale(enabled: bool, last_triggered_at: datetime | None, now: datetime) -> bool:
    """Enabled, and never triggered or not in the last 30 days."""
    return enabled and (last_triggered_at is None or last_triggered_at < now - STALE_AFTER)


def sync_status(
    version: str | None,
    announced: str | None,
    announced_at: datetime | None,
    error: str | None,
    connected: bool,
    now: datetime,
    *,
    reported: bool,
) -> SyncStatus:
    """How the registry that was reported relates to the one its orchestrator has.

    ERROR: the orchestrator could not read its own. STALE: nobody is connected who could report, or the announced
    version has been missing for over a minute. SYNCING: it is newer than what was reported, or nothing was reported
    yet. IN_SYNC: they are the same, or the orchestrator reports without versions.
    """
    if error is not None:
        return SyncStatus.ERROR
    if not connected:
        return SyncStatus.STALE
    if not reported or (announced is not None and announced != version):
        late = announced_at is not None and now - announced_at > SYNC_GRACE
        return SyncStatus.STALE if late else SyncStatus.SYNCING
    return SyncStatus.IN_SYNC


def check_inputs(declared: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    """The inputs a run gets: those given, and the defaults of the others. Raises InvalidInput, naming the first wrong one."""
    known = {each["name"]: each for each in declared}
    for name in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidInput(
                f"the workflow declares no input {name[:80]!r}",
                hint=f"It declares: {names}.",
                path=["inputs"],
            )
    values: dict[str, str] = {}
    for name, each in known.items():
        value = given.get(name, each.get("default"))
        if value is None:
            if each.get("required"):
                raise InvalidInput(f"input {name!r} is required", hint="Send a value.", path=["inputs", name])
            continue
        check_value(name, InputType(each["type"]), each.get("options") or [], value, ["inputs", name])
        values[name] = value
    return values


def check_value(
    name: str, kind: InputType, options: Sequence[str], value: str, path: Sequence[str | int]
) -> None:
    """Raises InvalidInput for a value that an input of this type does not take."""
    check_text(value, path, MAX_VALUE, empty=True)
    if looks_secret(value):
        raise InvalidInput(
            f"input {name!r} looks like the value of a secret",
            hint="Inputs are stored and shown; keep secrets in a secret scope.",
            path=path,
        )
    wrong = (
        (kind is InputType.NUMBER and not _is_number(value))
        or (kind is InputType.BOOLEAN and value not in {"true", "false"})
        or (kind is InputType.CHOICE and value not in options)
    )
    if wrong:
        wanted = {
            InputType.NUMBER: "a number",
            InputType.BOOLEAN: "true or false",
            InputType.CHOICE: "one of " + ", ".join(options),
        }[kind]
        raise InvalidInput(f"input {name!r} is {value[:80]!r}", hint=f"Send {wanted}.", path=path)


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))
