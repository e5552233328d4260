"""`workflows`, `runs` and `executionMetrics`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from kici_gql import tables
from kici_gql.api.context import Services
from kici_gql.api.enums import FrameKind
from kici_gql.api.streams.infrastructure import row_of
from kici_gql.api.streams.run_frames import (
    ExecutionMetricsChanged,
    ExecutionMetricsFrame,
    JobChanged,
    RegistryChanged,
    RunChanged,
    RunFrame,
    RunRemoved,
    RunSnapshot,
    StepChanged,
    WorkflowChanged,
    WorkflowFrame,
    WorkflowRemoved,
    WorkflowSnapshot,
)
from kici_gql.api.streams.view import LogView
from kici_gql.api.types.metrics import ExecutionMetrics, read_metrics, since
from kici_gql.events import Event, EventType, Topic
from kici_gql.store import fleet, workflows
from kici_gql.store import runs as store
from kici_gql.store.filters import Condition, clauses, matches

SNAPSHOT_RUNS = 100
_GATHER_SECONDS = (
    0.25  # how long metrics wait for more changes, so that a burst of runs is a handful of frames
)


class WorkflowView(LogView[WorkflowFrame]):
    """Workflows of an org."""

    topics = frozenset({Topic.WORKFLOWS})
    frame = WorkflowFrame

    def __init__(self, services: Services, org_id: str, where: tuple[Condition, ...]) -> None:
        super().__init__(services, org_id, where)
        self.where = where

    def state(self, connection: Connection) -> WorkflowSnapshot:
        rows: list[Any] = list(
            fleet.whole(connection, tables.Workflow, self.org_id, None, clauses(tables.Workflow, self.where))
        )
        registries: list[Any] = list(workflows.registries(connection, self.org_id))
        return WorkflowSnapshot(workflows=rows, registries=registries)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [self._show(event) for event in events]

    def _show(self, event: Event) -> Any:
        if event.type is EventType.REGISTRY_CHANGED:
            return RegistryChanged(registry=row_of(event))
        if event.type is EventType.WORKFLOW_CHANGED and matches(self.where, event.data):
            return WorkflowChanged(workflow=row_of(event))
        return WorkflowRemoved(id=event.data["id"])


class RunView(LogView[RunFrame]):
    """Runs of an org with their jobs and steps."""

    topics = frozenset({Topic.RUNS})
    frame = RunFrame

    def __init__(self, services: Services, org_id: str, where: tuple[Condition, ...]) -> None:
        super().__init__(services, org_id, where)
        self.where = where

    def state(self, connection: Connection) -> RunSnapshot:
        rows: list[Any] = list(
            store.latest(connection, self.org_id, SNAPSHOT_RUNS, clauses(tables.Run, self.where))
        )
        return RunSnapshot(runs=rows)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [shown for event in events if (shown := self._show(event)) is not None]

    def _show(self, event: Event) -> Any:
        if event.type is EventType.RUN_CHANGED:
            inside = matches(self.where, event.data)
            return RunChanged(run=row_of(event)) if inside else RunRemoved(id=event.data["id"])
        if not matches(self.where, event.data["run"]):
            return None
        return (
            JobChanged(job=row_of(event))
            if event.type is EventType.JOB_CHANGED
            else StepChanged(step=row_of(event))
        )


class ExecutionMetricsView(LogView[ExecutionMetricsFrame]):
    """Figures of the last 24 hours, worked out anew when runs changed or the window moved; readers share the work."""

    topics = frozenset({Topic.RUNS})
    frame = ExecutionMetricsFrame
    window_hours = 24

    def __init__(self, services: Services, org_id: str) -> None:
        super().__init__(services, org_id, None)
        self._since = services.store.now()

    def state(self, connection: Connection) -> ExecutionMetrics:
        now = self.services.store.now()
        self._since = since(self.window_hours, now)
        return read_metrics(connection, self.org_id, self.window_hours, now)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [event for event in events if event.type is not EventType.STEP_CHANGED]

    async def next(self, cursor: str) -> ExecutionMetricsFrame:
        frame = await super().next(cursor)
        if frame.kind is FrameKind.EVENTS:
            await asyncio.sleep(_GATHER_SECONDS)
            frame = await super().next(cursor)  # once more, with all that has gathered meanwhile
        if frame.kind is FrameKind.BOOKMARK and self._since != since(self.window_hours, self._now()):
            frame.kind = FrameKind.EVENTS  # nothing came, but runs may have left the window
        if frame.kind is FrameKind.EVENTS:
            metrics = await self.services.store.read(self.state)
            frame.events = [ExecutionMetricsChanged(metrics=metrics, folded=len(frame.events))]
        return frame
