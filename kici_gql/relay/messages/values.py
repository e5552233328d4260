"""Reading JSON values that somebody else wrote: a value is taken within its bounds, or it is None.

Orchestrators of many versions connect. One odd value must not cost the frame that it stands in, so nothing here
raises: too long is cut, malformed counts as absent, and null equals absent.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from kici_gql.relay.messages.redaction import redact, redact_all

Body = Mapping[str, Any]
Read = Callable[[object], Any]

MAX_ID = 128
MAX_NAME = 256
MAX_MESSAGE = 2000
MAX_LABELS = 64
MAX_COUNT = 2**31 - 1
MAX_EXTRA_BYTES = 4096

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_EARLIEST_MS = 946_684_800_000  # the year 2000
_LATEST_MS = 4_102_444_800_000  # the year 2100


def is_uuid(value: object) -> bool:
    """Whether this is a UUID as the orchestrator's database reads one."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def clean(value: object, limit: int) -> str | None:
    """A text without control characters and secrets, cut to `limit`; None when there is none."""
    if not isinstance(value, str) or not value:
        return None
    shown = value[: limit * 2]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in shown)
    return redact(shown)[:limit] or None


def text(limit: int) -> Read:
    """Reads a text of at most `limit` characters."""
    return lambda value: clean(value, limit)


ident = text(MAX_ID)
name = text(MAX_NAME)
message = text(MAX_MESSAGE)


def number(value: object) -> int | None:
    """A count, size or duration: a whole number from 0 to 2³¹ - 1, cut at both ends."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(min(max(value, 0), MAX_COUNT))


def index(value: object) -> int | None:
    """A step's place: -1 is the set-up before step 0."""
    return -1 if value == -1 and not isinstance(value, bool) else number(value)


def flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def moment(value: object) -> datetime | None:
    """A time, as epoch milliseconds or as ISO-8601."""
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value[:40])
            parsed = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return None
        return parsed if _EARLIEST_MS <= parsed.timestamp() * 1000 <= _LATEST_MS else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return datetime.fromtimestamp(value / 1000, UTC) if _EARLIEST_MS <= value <= _LATEST_MS else None


def texts(limit: int, each: int = MAX_NAME) -> Read:
    """Reads a list of texts: the first `limit` of them, each once, in their order."""

    def read(value: object) -> tuple[str, ...] | None:
        if not isinstance(value, list):
            return None
        found = (clean(item, each) for item in value[: limit * 2])
        return tuple(dict.fromkeys(item for item in found if item))[:limit]

    return read


labels = texts(MAX_LABELS)


def mapping(value: object) -> Body:
    return value if isinstance(value, dict) else {}


def items(value: object, limit: int) -> Iterable[Body]:
    """The objects among the first `limit` elements of a list."""
    return (each for each in value[:limit] if isinstance(each, dict)) if isinstance(value, list) else ()


def extra(value: object) -> Body | None:
    """An object kept as it is, without secrets, when it is small."""
    try:
        if not isinstance(value, dict) or len(encode(value)) > MAX_EXTRA_BYTES:
            return None
    except TypeError:  # orjson reads what is nested more deeply than it writes
        return None
    kept: Body = redact_all(value)
    return kept


def encode(value: object) -> bytes:
    """JSON with its keys in order, so that equal values have equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a frame: the attribute that it becomes, and how it is read."""

    attribute: str
    read: Read


Fields = Mapping[str, Field]


def take(body: Body, fields: Fields) -> dict[str, Any]:
    """Every attribute of the fields, None where the body has nothing usable."""
    return {field.attribute: field.read(body.get(wire)) for wire, field in fields.items()}


def rest(body: Body, fields: Fields, *read: str) -> Body:
    """What the body says beyond the fields, small values only: a newer orchestrator's news is kept, not understood."""
    unknown = {key: value for key, value in body.items() if key not in fields and key not in read}
    unknown.pop("type", None)
    unknown.pop("messageId", None)
    return (extra(unknown) or {}) if unknown else {}
