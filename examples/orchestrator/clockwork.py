"""What happens by itself: schedules fire, the file of workflows is read anew, waiting jobs get agents."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final

from orchestrator.definitions import Workflow
from orchestrator.dispatcher import Dispatcher, TooManyRuns
from orchestrator.execution import Order
from orchestrator.registry import Registry
from orchestrator.timetable import Timetable

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5
"""How often it looks."""


class Clockwork:
    """Also works while the server is away. ``on_change`` is called when the file has changed what there is to report."""

    def __init__(
        self,
        registry: Registry,
        dispatcher: Dispatcher,
        clock: Callable[[], datetime],
        on_change: Callable[[], None],
    ) -> None:
        self.registry = registry
        self.dispatcher = dispatcher
        self.clock = clock
        self.on_change = on_change

    async def run(self) -> None:
        """Look again and again, for ever. Raises StateError."""
        timetable = Timetable(self.clock())
        while True:
            if self.registry.refresh():
                self.on_change()
            workflows = self.registry.workflows
            enabled = {name: each for name, each in workflows.items() if self.registry.is_enabled(name)}
            schedules = {name: each.schedules for name, each in enabled.items()}
            for name in timetable.due(schedules, self.clock()):
                self._fire(workflows[name])
            self.dispatcher.dispatch()
            await asyncio.sleep(TICK_SECONDS)

    def _fire(self, workflow: Workflow) -> None:
        order = Order(str(uuid.uuid4()), workflow.values({}), "schedule", "schedule")
        try:
            self.dispatcher.start(workflow, order)
        except TooManyRuns as error:
            log.warning("the schedule of %s is passed over: %s", workflow.name, error)
            return
        self.registry.book.save()
