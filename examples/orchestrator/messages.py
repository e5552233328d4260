"""What an orchestrator and its agents say to each other: one JSON object a line, in both directions.

Each message is ``{"type": <name>, ...fields}``. An agent opens with ``hello`` and then sends ``beat`` again and
again; the orchestrator sends ``pace`` and ``stop``. Each side accepts only what the other one may send. A message
of an unknown type is no reason to hang up (the other side may be newer): the agent answers it with ``declined``.

A job begins with ``execute``. The agent answers with ``step_started``, ``lines`` and ``step_ended`` for each step, and
``job_ended`` at last; ``cancel`` asks for an earlier end. Each ``lines`` is acknowledged with ``taken``, and an agent has
only so many of them on their way: an orchestrator that can't pass them on slows the step down, and nothing else.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeVar, get_args, get_origin

MAX_LINE_BYTES: Final = 512 * 1024
"""Longest line either side may send; who sends a longer one is cut off."""


class BadMessage(ValueError):
    """A line that is no message: not JSON, wrong fields or wrong types."""


class UnknownMessage(BadMessage):
    """A well-formed message of a type that this side doesn't know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown message type {name!r}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Hello:
    """Agent → orchestrator, first of all: who I am and where I run."""

    agent_id: str
    pid: int
    version: str
    hostname: str
    running_as: str
    platform: str
    arch: str
    cpu_count: int
    memory_total_mb: int
    max_concurrency: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Agent → orchestrator, at every interval: I am alive, and this is what I use (MiB, seconds)."""

    memory_used_mb: int
    uptime_seconds: int
    active_jobs: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Declined:
    """Agent → orchestrator: your message was not carried out, and why."""

    message_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pace:
    """Orchestrator → agent: beat every so many seconds from now on."""

    interval_seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Orchestrator → agent: end yourself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Execute:
    """Orchestrator → agent: run these steps (``name`` and ``run``) one after the other. ``job`` names the job from now on."""

    job: str
    steps: list[dict[str, str]]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Orchestrator → agent: end the job, by SIGTERM and after the grace period SIGKILL, or at once when ``force``."""

    job: str
    force: bool
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """Orchestrator → agent: one ``lines`` of the job is dealt with."""

    job: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Agent → orchestrator: a step's process runs, as leader of process group ``pid``. ``at`` is Unix time, here and below."""

    job: str
    step: int
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Lines:
    """Agent → orchestrator: consecutive lines that a step has printed, the first one's number counted from 0."""

    job: str
    step: int
    first_line: int
    lines: list[str]


@dataclass(frozen=True, slots=True)
class StepEnded:
    """Agent → orchestrator: all lines of the step are told. ``status`` is the API's StepStatus; ``message`` says why it failed."""

    job: str
    step: int
    status: str
    exit_code: int
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class JobEnded:
    """Agent → orchestrator: the job has ended with this JobStatus; ``message`` says why it failed."""

    job: str
    status: str
    message: str
    at: float


FromAgent = Hello | Beat | Declined | StepStarted | Lines | StepEnded | JobEnded
ForAgent = Pace | Stop | Execute | Cancel | Taken
_Message = TypeVar("_Message", bound=FromAgent | ForAgent)

_FROM_AGENT: Final[dict[str, type[FromAgent]]] = {
    "hello": Hello, "beat": Beat, "declined": Declined,
    "step_started": StepStarted, "lines": Lines, "step_ended": StepEnded, "job_ended": JobEnded,
}  # fmt: skip
_FOR_AGENT: Final[dict[str, type[ForAgent]]] = {
    "pace": Pace, "stop": Stop, "execute": Execute, "cancel": Cancel, "taken": Taken,
}  # fmt: skip
_NAMES: Final[dict[type[FromAgent | ForAgent], str]] = {
    **{kind: name for name, kind in _FROM_AGENT.items()},
    **{kind: name for name, kind in _FOR_AGENT.items()},
}


def encode(message: FromAgent | ForAgent) -> bytes:
    """The message as one line, newline included."""
    return json.dumps({"type": _NAMES[type(message)], **asdict(message)}).encode() + b"\n"


def decode_from_agent(line: bytes) -> FromAgent:
    """What an agent said. Raises BadMessage, or UnknownMessage for a type that agents don't send."""
    name, values = _split(line)
    if name not in _FROM_AGENT:
        raise UnknownMessage(name)
    return _build(_FROM_AGENT[name], values)


def decode_for_agent(line: bytes) -> ForAgent:
    """What the orchestrator said. Raises BadMessage, or UnknownMessage for a type it doesn't send."""
    name, values = _split(line)
    if name not in _FOR_AGENT:
        raise UnknownMessage(name)
    return _build(_FOR_AGENT[name], values)


def _split(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise BadMessage(f"not JSON: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise BadMessage("not an object with a 'type'")
    return values.pop("type"), values


def _build(kind: type[_Message], values: dict[str, Any]) -> _Message:
    # Fields that a newer side added are ignored; missing or wrongly typed ones are not.
    known: dict[str, Any] = {}
    for field in fields(kind):
        value = values.get(field.name)
        if not _fits(value, field.type):
            raise BadMessage(f"{kind.__name__}.{field.name} is {value!r}")
        known[field.name] = value
    return kind(**known)


def _fits(value: object, wanted: object) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    kind, inner = get_origin(wanted), get_args(wanted)
    if kind is list:
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if kind is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    # type() and not isinstance(): True is no number of jobs.
    return type(value) is wanted
