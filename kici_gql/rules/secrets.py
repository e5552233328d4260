"""What the values of secrets look like, wherever they turn up where none belongs."""

import re
from typing import Any

# Cheap to look for, and in every shape.
_MARKS = (
    "kgq_",
    "kat_",
    "gho_",
    "ghp_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xox",
    "hvs.",
    "hvb.",
    "AKIA",
    "-----BEGIN",
)
_SHAPES = re.compile(
    r"(?:kgq_|kat_|gh[opsu]_|github_pat_|glpat-|xox[abprs]-|hv[bs]\.)[A-Za-z0-9_./+=-]{4,}"
    r"|AKIA[0-9A-Z]{12,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9/+=\s\\-]*"
)


def looks_secret(text: str) -> bool:
    """Whether something in the text looks like the value of a secret. A name never does."""
    return any(mark in text for mark in _MARKS) and _SHAPES.search(text) is not None


def redacted(text: str) -> str:
    """The text without whatever looks like a secret."""
    return _SHAPES.sub("…", text) if any(mark in text for mark in _MARKS) else text


def redacted_all(value: Any) -> Any:
    """A JSON value with every text in it redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [redacted_all(each) for each in value]
    if isinstance(value, dict):
        return {redacted(key): redacted_all(each) for key, each in value.items()}
    return value


def redacted_lines(lines: list[str]) -> list[str]:
    """The lines redacted. They are looked through as one text first, for hardly ever is there anything to do."""
    text = "\n".join(lines)
    return [redacted(line) for line in lines] if any(mark in text for mark in _MARKS) else lines
