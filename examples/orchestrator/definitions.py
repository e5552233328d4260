"""Workflows as a TOML file defines them. Pure: text in, values out.

A table of the file is a workflow; its name is the table's. It has ``repository``, ``triggers``, ``inputs`` and ``jobs``; a
job has ``steps``, and perhaps ``needs`` (jobs that must succeed first) and ``runs-on`` (labels its agent must have); a step
has ``run``, a script for /bin/sh, and perhaps ``name``.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from orchestrator.timetable import check_schedule

MAX_CHARACTERS: Final = 256 * 1024
MAX_WORKFLOWS: Final = 100
MAX_STEPS: Final = 200
"""Most steps of one workflow, in all its jobs: its whole state then fits into one message to the server."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,99}")
_INPUT_TYPES = {"string", "number", "boolean", "choice"}
_T = TypeVar("_T")


class BadDefinition(ValueError):
    """The file can't be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One script of a job."""

    name: str
    run: str


@dataclass(frozen=True, slots=True)
class Job:
    """What one agent does in one go."""

    id: str
    name: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """An input that a run may be given; ``type`` is the API's InputType."""

    name: str
    type: str = "STRING"
    required: bool = False
    default: str | None = None
    options: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """What makes it run: a kind such as ``push`` or ``schedule``, and its settings as they are."""

    type: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Workflow:
    """One registration; its id is its name."""

    name: str
    repository: str
    jobs: tuple[Job, ...]
    triggers: tuple[Trigger, ...] = ()
    inputs: tuple[Declared, ...] = ()

    @property
    def schedules(self) -> list[tuple[str, str | None]]:
        """Cron expression and time zone of each of its schedules."""
        return [
            (str(trigger.config["cron"]), trigger.config.get("timezone"))
            for trigger in self.triggers
            if trigger.type == "schedule"
        ]

    def values(self, given: Mapping[str, str]) -> dict[str, str]:
        """The inputs of a run: those given, and the defaults of the others. Raises ValueError when one is missing."""
        values = {each.name: given.get(each.name, each.default) for each in self.inputs}
        missing = [each.name for each in self.inputs if each.required and values[each.name] is None]
        if missing:
            raise ValueError(f"input {missing[0]!r} is required")
        return {name: value for name, value in values.items() if value is not None}


def parse(text: str) -> dict[str, Workflow]:
    """The workflows of a file, by name. Raises BadDefinition."""
    if len(text) > MAX_CHARACTERS:
        raise BadDefinition(f"{len(text)} characters are more than {MAX_CHARACTERS}")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadDefinition(f"not TOML: {error}") from error
    if len(tables) > MAX_WORKFLOWS:
        raise BadDefinition(f"{len(tables)} workflows are more than {MAX_WORKFLOWS}")
    return {name: _workflow(name, table) for name, table in tables.items()}


def _workflow(name: str, value: object) -> Workflow:
    where = _checked_name(name, name)
    table = _Table(value, where, {"repository", "triggers", "inputs", "jobs"})
    jobs = _jobs(table)
    workflow = Workflow(
        name,
        table.text("repository"),
        jobs,
        tuple(table.each("triggers", _trigger)),
        tuple(_input(key, each, f"{where}.inputs.{key}") for key, each in table.tables("inputs").items()),
    )
    if workflow.schedules and any(each.required and each.default is None for each in workflow.inputs):
        raise BadDefinition(f"{where}: a schedule can't give the input that is required")
    return workflow


def _jobs(workflow: "_Table") -> tuple[Job, ...]:
    tables = workflow.tables("jobs")
    jobs = tuple(_job(key, value, f"{workflow.where}.jobs.{key}") for key, value in tables.items())
    if not jobs:
        raise BadDefinition(f"{workflow.where}: it has no jobs")
    if sum(len(job.steps) for job in jobs) > MAX_STEPS:
        raise BadDefinition(f"{workflow.where}: more than {MAX_STEPS} steps")
    _check_needs(workflow.where, jobs)
    return jobs


def _check_needs(where: str, jobs: tuple[Job, ...]) -> None:
    met: set[str] = set()
    left = {job.id: job for job in jobs}
    for job in jobs:
        for need in job.needs:
            if need not in left:
                raise BadDefinition(f"{where}.jobs.{job.id}.needs: there is no job {need!r}")
    while ready := [job.id for job in left.values() if met.issuperset(job.needs)]:
        met.update(ready)
        for job_id in ready:
            del left[job_id]
    if left:
        raise BadDefinition(f"{where}: jobs wait for each other: {', '.join(left)}")


def _job(key: str, value: object, where: str) -> Job:
    _checked_name(key, where)
    table = _Table(value, where, {"name", "steps", "needs", "runs-on"})
    steps = table.each("steps", _step)
    if not steps:
        raise BadDefinition(f"{where}: it has no steps")
    return Job(
        key, table.text("name", key), tuple(steps), tuple(table.texts("needs")), tuple(table.texts("runs-on"))
    )


def _step(value: object, where: str) -> Step:
    table = _Table(value, where, {"name", "run"})
    script = table.text("run")
    first_line = script.strip().partition("\n")[0]
    return Step(table.text("name", first_line[:60] or "nothing"), script)


def _trigger(value: object, where: str) -> Trigger:
    table = _Table(value, where, None)
    kind = table.text("type")
    config = {key: each for key, each in table.values.items() if key != "type"}
    try:
        json.dumps(config)
    except TypeError:
        raise BadDefinition(f"{where}: only texts, numbers, truths, lists and tables can be told") from None
    if kind == "schedule":
        try:
            check_schedule(table.text("cron"), table.text("timezone", "UTC"))
        except ValueError as error:
            raise BadDefinition(f"{where}: {error}") from None
    return Trigger(kind, config)


def _input(key: str, value: object, where: str) -> Declared:
    table = _Table(value, where, {"type", "required", "default", "options", "description"})
    kind = table.text("type", "string")
    if kind not in _INPUT_TYPES:
        raise BadDefinition(f"{where}.type: {kind!r} is none of {', '.join(sorted(_INPUT_TYPES))}")
    default = table.text("default", "") or None
    options = table.texts("options")
    if kind == "choice" and (not options or (default is not None and default not in options)):
        raise BadDefinition(f"{where}: a choice needs options, and a default that is one of them")
    return Declared(
        _checked_name(key, where),
        kind.upper(),
        table.truth("required"),
        default,
        tuple(options),
        table.text("description", "") or None,
    )


def _checked_name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadDefinition(
            f"{where}: a name has at most 100 letters, digits, blanks and . _ / -, and begins with a letter or digit"
        )
    return name


class _Table:
    """A table of the file, read with complaints that say where."""

    def __init__(self, value: object, where: str, known: set[str] | None) -> None:
        if not isinstance(value, dict):
            raise BadDefinition(f"{where} is no table")
        unknown = set(value) - known if known is not None else set()
        if unknown:
            raise BadDefinition(f"{where}: unknown key {min(unknown)!r}")
        self.values: dict[str, Any] = value
        self.where = where

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise BadDefinition(f"{self.where}.{key} is missing or no text")
        return value

    def truth(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise BadDefinition(f"{self.where}.{key} is neither true nor false")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise BadDefinition(f"{self.where}.{key} is no list of texts")
        return value

    def tables(self, key: str) -> dict[str, object]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise BadDefinition(f"{self.where}.{key} is no table")
        return value

    def each(self, key: str, make: Callable[[object, str], _T]) -> list[_T]:
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise BadDefinition(f"{self.where}.{key} is no list")
        return [make(each, f"{self.where}.{key}[{index}]") for index, each in enumerate(value)]
