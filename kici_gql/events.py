"""What the event log holds: typed events, their stored form, and the cursor that names a place between them."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import orjson


class Topic(StrEnum):
    """What a reader can follow separately; each stored entry has exactly one."""

    INFRASTRUCTURE = "infrastructure"
    HEARTBEATS = "heartbeats"
    ALERTS = "alerts"
    TOKENS = "tokens"
    WORKFLOWS = "workflows"
    RUNS = "runs"
    LOGS = "logs"
    COMMANDS = "commands"
    SETTINGS = "settings"
    QUESTIONS = "questions"


class EventType(StrEnum):
    """Every event the log can hold. The data of a `*.changed` event is the object's whole new state."""

    CLUSTER_CHANGED = "cluster.changed"
    ORCHESTRATOR_CHANGED = "orchestrator.changed"
    ORCHESTRATOR_REMOVED = "orchestrator.removed"
    SCALER_CHANGED = "scaler.changed"
    SCALER_REMOVED = "scaler.removed"
    AGENT_CHANGED = "agent.changed"
    AGENT_REMOVED = "agent.removed"
    ORCHESTRATOR_BEAT = "orchestrator.beat"
    AGENT_BEAT = "agent.beat"
    ALERT_CHANGED = "alert.changed"
    WORKFLOW_CHANGED = "workflow.changed"
    WORKFLOW_REMOVED = "workflow.removed"
    REGISTRY_CHANGED = "registry.changed"
    RUN_CHANGED = "run.changed"
    JOB_CHANGED = "job.changed"
    STEP_CHANGED = "step.changed"
    LOG_APPENDED = "log.appended"
    COMMAND_CHANGED = "command.changed"
    BACKEND_CHANGED = "backend.changed"
    BACKEND_REMOVED = "backend.removed"
    SURFACE_CHANGED = "surface.changed"
    QUESTION_ASKED = "question.asked"
    QUESTION_ANSWERED = "question.answered"
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event, not a password

    @cached_property
    def topic(self) -> Topic:
        return _TOPICS[self]


_TOPICS: dict[EventType, Topic] = {
    EventType.CLUSTER_CHANGED: Topic.INFRASTRUCTURE,
    EventType.ORCHESTRATOR_CHANGED: Topic.INFRASTRUCTURE,
    EventType.ORCHESTRATOR_REMOVED: Topic.INFRASTRUCTURE,
    EventType.SCALER_CHANGED: Topic.INFRASTRUCTURE,
    EventType.SCALER_REMOVED: Topic.INFRASTRUCTURE,
    EventType.AGENT_CHANGED: Topic.INFRASTRUCTURE,
    EventType.AGENT_REMOVED: Topic.INFRASTRUCTURE,
    EventType.ORCHESTRATOR_BEAT: Topic.HEARTBEATS,
    EventType.AGENT_BEAT: Topic.HEARTBEATS,
    EventType.ALERT_CHANGED: Topic.ALERTS,
    EventType.TOKEN_REVOKED: Topic.TOKENS,
    EventType.WORKFLOW_CHANGED: Topic.WORKFLOWS,
    EventType.WORKFLOW_REMOVED: Topic.WORKFLOWS,
    EventType.REGISTRY_CHANGED: Topic.WORKFLOWS,
    EventType.RUN_CHANGED: Topic.RUNS,
    EventType.JOB_CHANGED: Topic.RUNS,
    EventType.STEP_CHANGED: Topic.RUNS,
    EventType.LOG_APPENDED: Topic.LOGS,
    EventType.COMMAND_CHANGED: Topic.COMMANDS,
    EventType.BACKEND_CHANGED: Topic.SETTINGS,
    EventType.BACKEND_REMOVED: Topic.SETTINGS,
    EventType.SURFACE_CHANGED: Topic.SETTINGS,
    EventType.QUESTION_ASKED: Topic.QUESTIONS,
    EventType.QUESTION_ANSWERED: Topic.QUESTIONS,
}


_BY_NAME: dict[str, EventType] = {str(each): each for each in EventType}


class Event(NamedTuple):
    """One thing that happened. `data` is JSON-ready: times are ISO-8601 strings in UTC.

    Of what is told again and again `profile` is the part that stays the same, the very same object each time, and `data`
    the rest. An event that was read from the log has it all in `data`.
    """

    type: EventType
    data: Mapping[str, Any]
    profile: Mapping[str, Any] | None = None

    @property
    def whole(self) -> Mapping[str, Any]:
        """All that it tells."""
        return self.data if self.profile is None else {**self.profile, **self.data}


@dataclass(frozen=True)
class Entry:
    """A run of events of one topic that one transaction appended: sequence numbers `first_seq` to `seq`.

    Heartbeats arrive by the dozen, so one stored entry per push instead of one per event is what keeps ingest cheap.
    The body stays encoded until somebody reads it, and is decoded once for all who read it then. `told` are the same
    events where this process can make them of what it knows, which is cheaper.
    """

    org_id: str
    first_seq: int
    seq: int
    topic: Topic
    at: str
    body: bytes
    told: Callable[[], Sequence[Event]] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def events(self) -> Sequence[Event]:
        if self.told is not None:
            return self.told()
        return [Event(_BY_NAME[type_], data) for type_, data in orjson.loads(self.body)]

    def forget_events(self) -> None:
        """Keep only the body; whoever reads the events from now on decodes them anew."""
        self.__dict__.pop("events", None)
        self.__dict__["told"] = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A run of events in their stored form, see `encode_events`; `told` makes the events themselves."""

    count: int
    body: bytes
    told: Callable[[], Sequence[Event]] | None = None


@lru_cache(8192)  # what is shown together happened together, and is shown to many
def iso(moment: datetime) -> str:
    """A time as the API prints it: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode_events(events: Sequence[Event]) -> bytes:
    """The stored form of one entry's events."""
    encoded = orjson.dumps([(event.type, event.whole) for event in events], option=orjson.OPT_UTC_Z)
    # A copy: tails keep thousands of them, and what orjson made keeps its whole buffer, four kilobytes at least.
    return bytes(memoryview(encoded))


_CURSOR = re.compile(r"([0-9a-f]{8}):(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one org's event log: just behind event number `seq` of the log named by `epoch`.

    The epoch is random and belongs to one org's log, so a cursor of another org or of a log that was
    replaced is recognised instead of being taken for a plausible position.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        plain = f"{self.epoch}:{self.seq}".encode()  # of such characters base64 makes no + and no /
        return binascii.b2a_base64(plain, newline=False).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a printed cursor. Raises ValueError when the text is not one of ours."""
        try:
            plain = base64.urlsafe_b64decode(text[:64] + "=" * (-len(text[:64]) % 4)).decode("ascii")
        except (binascii.Error, ValueError) as error:
            raise ValueError("not a cursor") from error
        match = _CURSOR.fullmatch(plain)
        cursor = match and cls(match[1], int(match[2]))
        if not cursor or str(cursor) != text:  # base64 has several spellings of one value; we print one
            raise ValueError("not a cursor")
        return cursor
