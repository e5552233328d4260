"""Recorded sessions of real orchestrators (0.1.24), and an orchestrator that plays them back to a session.

The captures were recorded by us against a stand-in for the Platform. What that stand-in asked is not what we ask, so
the player answers our questions with the answer of that type which was recorded last.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from kici_gql.relay.messages.telemetry import Lines, Run
from kici_gql.relay.session import Session
from kici_gql.relay.session.effects import (
    Amend,
    Authenticate,
    Backends,
    Beat,
    DeadLetters,
    Effect,
    Introduce,
    Print,
    Refit,
    Registrations,
    Send,
    Settle,
    Shut,
    Tell,
)
from kici_gql.rules import merging

CAPTURES = Path(__file__).parent / "captures"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.jsonl"))
Frame = dict[str, Any]


class Row(NamedTuple):
    at: float
    sent: bool  # by the orchestrator
    conn: str
    frame: Frame


@cache
def _load(name: str) -> tuple[Row, ...]:
    rows = []
    manifest: list[str] = []
    for line in (CAPTURES / f"{name}.jsonl").read_text().splitlines():
        raw = json.loads(line)
        frame = raw["msg"]
        capabilities = frame.get("capabilities") if isinstance(frame, dict) else None
        if isinstance(capabilities, dict) and "supportedDashboardRequests" in capabilities:
            if capabilities["supportedDashboardRequests"] == "<as before>":
                capabilities["supportedDashboardRequests"] = manifest
            manifest = capabilities["supportedDashboardRequests"]
        if raw["dir"] != "meta":
            rows.append(Row(raw["t"], raw["dir"].startswith("orch"), raw.get("conn", "c0"), frame))
    return tuple(rows)


def frames(name: str) -> list[Frame]:
    """What the orchestrator sent by itself, in its order, without its introduction; fresh copies."""
    return [
        json.loads(json.dumps(row.frame))
        for row in _load(name)
        if row.sent and not _is_introduction(row.frame)
    ]


def announced(name: str) -> list[Frame]:
    """The capabilities that the orchestrator announced, one after the other."""
    return [row.frame for row in _load(name) if row.frame.get("type") == "orch.capabilities.update"]


def answers(name: str, type_: str) -> list[Frame]:
    return [row.frame for row in _load(name) if row.sent and row.frame.get("type") == type_]


def _is_introduction(frame: Frame) -> bool:
    return frame["type"] in {
        "auth.request",
        "source.register",
        "source.deregister",
        "orch.capabilities.update",
    }


AUTH: Frame = next(row.frame for row in _load("connect") if row.frame["type"] == "auth.request")
REGISTER: Frame = next(row.frame for row in _load("connect") if row.frame["type"] == "source.register")
DIAGNOSTICS: Frame = answers("diagnostics", "dashboard.diagnostics.response")[3]
USUAL_ANSWERS: Mapping[str, Frame] = {
    "dashboard.diagnostics": DIAGNOSTICS,
    "dashboard.registrations.list": answers("registrations", "dashboard.registrations.list.response")[0],
    "dashboard.backends.list": answers("backends", "dashboard.backends.list.response")[0],
    "dashboard.event-dlq.count": answers("lists", "dashboard.event-dlq.count.response")[0],
}
ENVIRONMENT_ANSWERS: Mapping[str, Frame] = {
    "dashboard.environments.list": answers("lists", "dashboard.environments.list.response")[1],
    "dashboard.environments.get": answers("lists", "dashboard.environments.get.response")[-1],
    "dashboard.environments.bindings.list": answers("lists", "dashboard.environments.bindings.list.response")[
        0
    ],
    "dashboard.environments.variables.list": {
        "type": "dashboard.environments.variables.list.response",
        "variables": [{"key": "REGION", "value": "canary-7f", "locked": False}],
    },
}
"""What is asked to see the environments of a cluster. No variables were recorded."""


@dataclass
class Book:
    """What a server would have stored: reports merged by the same rules, without a database."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    steps: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    lines: dict[tuple[str, str, int], list[str]] = field(default_factory=dict)

    def tell(self, run: Run) -> None:
        assert run.at is not None
        at = merging.millis(run.at)
        columns = {
            name: getattr(run, name)
            for name in Run.__dataclass_fields__
            if name not in {"run_id", "at", "jobs", "job_count", "extra"}
        }
        _merge(self.runs.setdefault(run.run_id, {"stamps": {}}), columns, at, run.job_count or 0)
        for job in run.jobs:
            columns = {
                name: getattr(job, name)
                for name in type(job).__dataclass_fields__
                if name not in {"job_id", "steps", "extra"}
            }
            _merge(self.jobs.setdefault((run.run_id, job.job_id), {"stamps": {}}), columns, at)
            for step in job.steps:
                columns = {name: getattr(step, name) for name in type(step).__dataclass_fields__}
                _merge(
                    self.steps.setdefault((run.run_id, job.job_id, step.number), {"stamps": {}}), columns, at
                )

    def print(self, lines: Lines) -> None:
        assert (lines.run_id, lines.job_id) in self.jobs, "a job's lines came before the job"
        self.lines.setdefault((lines.run_id, lines.job_id, lines.step), []).extend(lines.lines)

    def status(self, run_id: str) -> str | None:
        return self.runs[run_id].get("status")

    def job_status(self, run_id: str, job_id: str) -> str | None:
        return self.jobs[run_id, job_id].get("status")


def _merge(row: dict[str, Any], columns: dict[str, Any], at: int, jobs: int = 0) -> None:
    row.update(merging.merge(row, row["stamps"], columns, at, jobs))


class Player:
    """An orchestrator at the other end of a `Session`, and the book that the session's effects fill.

    `dialect` rewrites each frame before it is sent; it answers a list, because 0.9 cuts some frames into several.
    """

    def __init__(self, book: Book | None = None, dialect: Any = None) -> None:
        self.book = book or Book()
        self.dialect = dialect or (lambda frame: [frame])
        self.answers: dict[str, Frame | None] = dict(USUAL_ANSWERS)
        self.now = 1000.0
        self.chance = 0.5
        self.effects: list[Effect] = []
        self.sent: list[Frame] = []
        self.session = self.connect()

    def connect(self) -> Session:
        self.session = Session(self.now, "link-1", chance=lambda: self.chance)
        return self.session

    def introduce(self) -> None:
        """From the first frame to READY."""
        self.say(AUTH)
        self.say(REGISTER)

    def say(self, frame: Frame, seconds: float = 0.01) -> None:
        for each in self.dialect(frame):
            self.now += seconds
            self.perform(self.session.receive(json.dumps(each), self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass, as the endpoint would: `tick` at each deadline."""
        end = self.now + seconds
        while self.session.deadline <= end:
            self.now = max(self.now, self.session.deadline)
            self.perform(self.session.tick(self.now))
            if self.closed:
                break
        self.now = end

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case Send(text):
                    self.sent.append(json.loads(text))
                    self._answer(json.loads(text))
                case Authenticate():
                    self.perform(self.session.accepted(self.now))
                case Introduce():
                    self.perform(self.session.introduced(self.now))
                case Tell(runs):
                    for run in runs:
                        self.book.tell(run)
                case Print(lines):
                    self.book.print(lines)
                case (
                    Amend()
                    | Beat()
                    | Refit()
                    | Registrations()
                    | Backends()
                    | DeadLetters()
                    | Settle()
                    | Shut()
                ):
                    pass

    def _answer(self, request: Frame) -> None:
        if "actor" not in request:
            return
        answer = self.answers.get(request["type"])
        if answer is not None:
            self.say(answer | {"requestId": request["requestId"]})

    @property
    def closed(self) -> Shut | None:
        return next((effect for effect in self.effects if isinstance(effect, Shut)), None)

    def seen(self, type_: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, type_)]

    def asked(self, type_: str) -> list[Frame]:
        return [frame for frame in self.sent if frame["type"] == type_]


def ready() -> Player:
    player = Player()
    player.introduce()
    return player


def details(name: str) -> Iterator[tuple[str, Frame]]:
    """(run id, its detail) for each last detail that was asked of a run in this capture."""
    asked = {
        row.frame["requestId"]: row.frame["runId"]
        for row in _load(name)
        if row.frame.get("type") == "dashboard.run.detail" and "requestId" in row.frame
    }
    found = {
        asked[each["requestId"]]: each
        for each in answers(name, "dashboard.run.detail.response")
        if each["requestId"] in asked
    }
    yield from found.items()


def outcome(player: Player) -> Any:
    """What came of the one question that was asked."""
    [settled] = player.seen(Settle)
    return settled.outcome
