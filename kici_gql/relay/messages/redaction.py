"""Taking secrets out of what orchestrators send, before anybody stores or shows it.

`job.context` carries the agent's live token and its whole environment in clear text, and a step can print either.
"""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "«redacted»"
"""What stands where a secret stood."""

_MARKS = ("kat_", "kgq_")
_TOKEN = re.compile(r"(?:kat|kgq)_[A-Za-z0-9_.\-]{4,}")
_MAX_DEPTH = 6


def redact(text: str) -> str:
    """The text without anything that looks like an agent's token or one of ours."""
    if any(mark in text for mark in _MARKS):
        return _TOKEN.sub(HIDDEN, text)
    return text


def redact_all(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """A JSON value with `redact` applied to every text in it; what is nested deeper than six levels is cut off."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return (
            {redact(str(key)): redact_all(each, depth - 1) for key, each in value.items()} if depth else None
        )
    if isinstance(value, list):
        return [redact_all(each, depth - 1) for each in value] if depth else None
    return value
