"""Ids: typed, sortable by time, never reused. They are the public GraphQL ids too."""

import itertools
import secrets
import struct
import threading
from collections.abc import Iterator
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
        self._noise: Iterator[int] = iter(())

    def make(self, millis: int) -> str:
        with self._lock:
            if millis == self._millis:
                self._tail += 1 + self._bits40()
            else:
                self._millis, self._tail = millis, secrets.randbits(79)
            return f"{millis:012x}{self._tail:020x}"

    def _bits40(self) -> int:
        """Fetched by the hundred: each call of the system gives up the interpreter, which a busy writer gets back late."""
        found = next(self._noise, None)
        if found is None:
            self._noise = iter([number >> 24 for number in struct.unpack("512Q", secrets.token_bytes(4096))])
            found = next(self._noise)
        return found


_maker = _Maker()


def new_id(prefix: Prefix, now: datetime) -> str:
    """A fresh id: kind, milliseconds since 1970 in hex, and 80 bits that are random and grow within a millisecond."""
    return f"{prefix}_{_maker.make(int(now.timestamp() * 1000))}"


_serials = itertools.count(secrets.randbits(62))


def new_serial() -> int:
    """A serial number of 63 bits that no other process gives: they follow each other from where a process began by chance.

    What is written with every heartbeat is found by it: neighbours of a table without comparing any text.
    """
    return next(_serials)
