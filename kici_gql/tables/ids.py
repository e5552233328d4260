"""Ids: typed, sortable by time, never reused. They are the public GraphQL ids too."""

import secrets
import threading
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
    QUESTION = "qst"
    SECRET_BACKEND = "sbe"  # noqa: S105 - the kind of an id, not a password


class _Maker:
    """Makes ids that sort in the order they were made in, also those of one millisecond, as far as one process goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millis = 0
        self._tail = 0

    def make(self, millis: int) -> str:
        with self._lock:
            if millis == self._millis:
                self._tail += 1 + secrets.randbits(40)
            else:
                self._millis, self._tail = millis, secrets.randbits(79)
            return f"{millis:012x}{self._tail:020x}"


_maker = _Maker()


def new_id(prefix: Prefix, now: datetime) -> str:
    """A fresh id: kind, milliseconds since 1970 in hex, and 80 bits that are random and grow within a millisecond."""
    return f"{prefix}_{_maker.make(int(now.timestamp() * 1000))}"
