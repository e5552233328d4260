"""`runLog`: one step's log, line by line, from any line on.

The lines are not in the event log, which only says that there are more; a reader's place is the number of its last
line, and its frames carry it behind the cursor.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from kici_gql.api.context import Services
from kici_gql.api.enums import FrameKind
from kici_gql.api.scalars import Cursor as PrintedCursor
from kici_gql.api.streams.run_frames import LogEnd, LogLines, RunLogFrame, RunLogSnapshot
from kici_gql.api.streams.view import LogView
from kici_gql.api.types.run import MAX_LOG_CHARS, MAX_LOG_LINES, as_gaps, as_lines
from kici_gql.events import Cursor, Event, EventType, Topic
from kici_gql.feed import Expired
from kici_gql.rules import merging
from kici_gql.store import log, logs, records
from kici_gql.store.logs import Stretch, Wanted
from kici_gql.tables import Job

_PATIENCE = timedelta(seconds=3)
_LOOK_SECONDS = 0.25
_LOOKS = 2 * int(_PATIENCE.total_seconds() / _LOOK_SECONDS)  # should the server's clock stand still


class RunLogView(LogView[RunLogFrame]):
    """One step of one job, behind one line."""

    topics = frozenset({Topic.LOGS, Topic.RUNS})
    frame = RunLogFrame

    def __init__(self, services: Services, org_id: str, job_id: str, step: int, after_line: int) -> None:
        super().__init__(services, org_id, (job_id, step, after_line))
        self.job_id = job_id
        self.step = step
        self.after_line = after_line

    def state(self, connection: Connection) -> RunLogSnapshot:
        found, _, total = self._look(connection, self.after_line)
        if found.hole_told_at is not None and self._is_young(found.hole_told_at):
            found = Stretch()  # the next frame tells them, with the hole or without
        return RunLogSnapshot(lines=as_lines(found), gaps=as_gaps(found), total_lines=total)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [event for event in events if self._concerns(event)]

    async def first(self, after: str | None) -> RunLogFrame | str:
        if after is not None and _Place.is_one(after):
            return after  # an event stream that reconnects sends back the position of its last frame
        state, head = await self.services.store.read(self._state_and_head)
        line = state.lines[-1].number if state.lines else self.after_line
        return self._lines_frame(FrameKind.SNAPSHOT, _Place(head, line), None, snapshot=state)

    async def next(self, cursor: str) -> RunLogFrame:
        place, looks = _Place.parse(cursor), 0
        deadline = asyncio.get_running_loop().time() + self.services.settings.bookmark_seconds
        while True:
            (found, over, total), head = await self.services.store.read(self._look_and_head, place.line)
            if found.hole_told_at is not None and looks < _LOOKS and self._is_young(found.hole_told_at):
                await asyncio.sleep(_LOOK_SECONDS)
                looks += 1
                continue
            if found.lines:
                there = _Place(head, found.lines[-1][0])
                event = LogLines(lines=as_lines(found), gaps=as_gaps(found))
                return self._lines_frame(FrameKind.EVENTS, there, cursor, [event])
            if over and not place.ended:
                there = _Place(head, place.line, ended=True)
                return self._lines_frame(FrameKind.EVENTS, there, cursor, [LogEnd(total_lines=total)])
            if not await self._wait(head, deadline):
                there = _Place(head, place.line, ended=place.ended)
                return self._lines_frame(FrameKind.BOOKMARK, there, cursor)

    def _is_young(self, hole: datetime) -> bool:
        """Parts of a log may overtake each other: give the missing one a moment before it counts as missing."""
        return self.services.store.now() - hole < _PATIENCE

    async def _wait(self, position: Cursor, deadline: float) -> bool:
        """Until something about this step's log happens behind `position`; False when a bookmark is due."""
        feed = self.services.feed
        while True:
            try:
                page = await feed.after(
                    self.org_id, position, self.topics, self.services.settings.page_events
                )
            except Expired:
                return True
            if self.show(event for entry in page.entries for event in entry.events):
                return True
            if page.cursor != position:
                position = page.cursor
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    await feed.moved(self.org_id, position)
            except TimeoutError:
                return False

    def _look_and_head(self, connection: Connection, line: int) -> tuple[tuple[Stretch, bool, int], Cursor]:
        return self._look(connection, line), log.head(connection, self.org_id)

    def _look(self, connection: Connection, line: int) -> tuple[Stretch, bool, int]:
        """What is behind the line, whether the job has ended, and how many lines there are."""
        wanted = Wanted(MAX_LOG_LINES, MAX_LOG_CHARS, line, until_hole=True)
        found = logs.read(connection, self.job_id, self.step, wanted)
        job = records.by_id(connection, Job, self.org_id, self.job_id)
        over = job is None or merging.is_final(job.status)
        return found, over, logs.total_lines(connection, self.job_id, self.step)

    def _concerns(self, event: Event) -> bool:
        if event.type is EventType.LOG_APPENDED:
            return bool(event.data["job_id"] == self.job_id and event.data["step"] == self.step)
        return event.type is EventType.JOB_CHANGED and bool(event.data["id"] == self.job_id)

    def _lines_frame(
        self,
        kind: FrameKind,
        place: "_Place",
        previous: str | None,
        events: Sequence[Any] = (),
        snapshot: RunLogSnapshot | None = None,
    ) -> RunLogFrame:
        return RunLogFrame(
            kind=kind,
            cursor=PrintedCursor(str(place)),
            previous_cursor=None if previous is None else PrintedCursor(previous),
            at=self.services.store.now(),
            reason=None,
            snapshot=snapshot,
            events=list(events),
        )


class _Place:
    """Where a reader of a log stands: its last line, and how much of the org's log it has seen."""

    def __init__(self, cursor: Cursor, line: int, *, ended: bool = False) -> None:
        self.cursor = cursor
        self.line = line
        self.ended = ended

    def __str__(self) -> str:
        return f"{self.cursor}.{self.line}{'.end' if self.ended else ''}"

    @classmethod
    def is_one(cls, text: str) -> bool:
        try:
            cls.parse(text)
        except ValueError:
            return False
        return True

    @classmethod
    def parse(cls, text: str) -> "_Place":
        """Raises ValueError when the text is no place of ours."""
        match = _PLACE.fullmatch(text)
        if match is None:
            raise ValueError("not a place in a log")
        return cls(Cursor.parse(match[1]), int(match[2]), ended=match[3] is not None)


_PLACE = re.compile(r"([\w-]+)\.(-1|\d{1,10})(\.end)?", re.ASCII)
