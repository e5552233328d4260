"""Ids: typed, sortable by time, never reused. They are the public GraphQL ids too."""

import secrets
from datetime import datetime
from enum import StrEnum


class Prefix(StrEnum):
    """First part of an id: which kind of object it names."""

    ORG = "org"
    TOKEN = "tok"  # noqa: S105 - the kind of an id, not a password
    CLUSTER = "clu"
    ORCHESTRATOR = "orc"
    SCALER = "scl"
    AGENT = "agt"
    ALERT = "alr"
    AUDIT = "aud"
    WORKFLOW = "wfl"
    RUN = "run"
    JOB = "job"
    STEP = "stp"
    COMMAND = "cmd"
    SECRET_BACKEND = "sbe"  # noqa: S105 - the kind of an id, not a password


def new_id(prefix: Prefix, now: datetime) -> str:
    """A fresh id: kind, milliseconds since 1970 in hex, and 80 random bits."""
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"
