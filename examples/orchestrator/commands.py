"""What users ask of this orchestrator: each command is carried out once and answered, however often it comes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, Protocol

from orchestrator.administration import Administration
from orchestrator.book import Answer, Book
from orchestrator.dispatcher import Dispatcher, TooManyRuns
from orchestrator.execution import Order
from orchestrator.outbox import Outbox
from orchestrator.registry import Registry
from orchestrator.state import StateError

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
"""Wait before a stream that the server has ended is asked for again."""

Command = dict[str, Any]
"""A command as the stream tells it: ``id``, ``kind``, ``requestedBy``, ``payload``."""


class Source(Protocol):
    """What following commands needs of a link to the server."""

    def commands(self, connection_id: str, after: str | None) -> AsyncGenerator[dict[str, Any], None]: ...


class Refusal(Exception):
    """The command can't be done; the message says why."""


class Commands:
    """Carries out commands. ``on_change`` is called when one has changed something that the server should hear of."""

    def __init__(
        self,
        book: Book,
        registry: Registry,
        dispatcher: Dispatcher,
        outbox: Outbox,
        administration: Administration,
        on_change: Callable[[], None] = lambda: None,
        on_rename: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.book = book
        self.registry = registry
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.administration = administration
        self.on_change = on_change
        self.on_rename = on_rename
        self._cursor: str | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._deeds: Final[dict[str, Callable[[Command, dict[str, Any]], str | None]]] = {
            "RUN_NOW": self._run,
            "RERUN": self._run,
            "SET_ENABLED": self._set_enabled,
            "DELETE": self._delete,
            "CANCEL": self._cancel,
            "RENAME": self._rename,
        }

    async def follow(self, link: Source, connection_id: str) -> None:
        """Carry out what comes, for ever; goes on behind what came last. Raises LinkDown, TokenRefused or Refused."""
        while True:
            async with aclosing(link.commands(connection_id, self._cursor)) as frames:
                async for frame in frames:
                    snapshot = frame["snapshot"] or {"commands": []}
                    for command in [*snapshot["commands"], *(each["command"] for each in frame["events"])]:
                        self.carry_out(command)
                    self._cursor = frame["cursor"]
            await asyncio.sleep(AGAIN_SECONDS)

    def forget_place(self) -> None:
        """Over a new connection everything that is not answered comes again."""
        self._cursor = None

    def carry_out(self, command: Command) -> None:
        """Do it, unless it was done before, and answer it. Raises StateError."""
        command_id = command["id"]
        answer = self.book.answers.get(command_id)
        if answer is None and self._takes_time(command):
            if command_id not in self._under_way:
                self._under_way[command_id] = asyncio.create_task(self._administer(command))
            return
        self._answer(command, answer or self._do(command), is_new=answer is None)

    def _answer(self, command: Command, answer: Answer, *, is_new: bool) -> None:
        command_id = command["id"]
        if is_new:
            self.book.answer(command_id, answer)
            self.book.save()
            log.info("%s of %s: %s", command["kind"], command["requestedBy"], answer.message or "done")
            # Only what is written down is begun: a sudden end before this line leaves it undone, one after it done.
            self.dispatcher.dispatch()
            self.on_change()
        self.outbox.answer(command_id, answer.succeeded, answer.message, answer.result)

    async def close(self) -> None:
        """Leave what takes its time undone: nobody hears of it any more."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _takes_time(self, command: Command) -> bool:
        return command["kind"].startswith(("BACKEND_", "DEAD_LETTER_")) and not self._forbidden(command)

    async def _administer(self, command: Command) -> None:
        """What may wait for a network. Doing it twice is harmless, so only the answer is written down."""
        try:
            answer = await self.administration.do(command["kind"], command["payload"])
        except (KeyError, TypeError) as error:
            answer = Answer(False, f"its payload is not understood: {error!r}")
        except StateError as error:
            answer = Answer(False, str(error))
        del self._under_way[command["id"]]
        self._answer(command, answer, is_new=True)

    def _forbidden(self, command: Command) -> str | None:
        return self.administration.allows(command["kind"], bool(command["payload"].get("enabled")))

    def _do(self, command: Command) -> Answer:
        deed = self._deeds.get(command["kind"])
        try:
            if (operation := self._forbidden(command)) is not None:
                raise Refusal(f"the operator of this orchestrator does not allow {operation} from outside")
            if deed is None:
                raise Refusal(f"this orchestrator can't do {command['kind']}")
            return Answer(True, deed(command, command["payload"]))
        except (Refusal, TooManyRuns, ValueError) as refusal:
            return Answer(False, str(refusal))
        except (KeyError, TypeError, AttributeError) as error:
            return Answer(False, f"its payload is not understood: {error!r}")

    def _run(self, command: Command, payload: dict[str, Any]) -> None:
        name = self._registered(payload)
        workflow = self.registry.workflows[name]
        inputs = {str(key): str(value) for key, value in payload["inputs"].items()}
        self.dispatcher.start(workflow, Order(str(payload["runId"]), workflow.values(inputs)))

    def _set_enabled(self, command: Command, payload: dict[str, Any]) -> None:
        self.registry.set_enabled(self._registered(payload), bool(payload["enabled"]))

    def _delete(self, command: Command, payload: dict[str, Any]) -> str | None:
        name = self._registered(payload)
        self.registry.delete(name)
        if not payload["cancelActiveRuns"]:
            return None
        runs = {*payload["runIds"], *self.dispatcher.runs_of(name)}
        ended = [
            run_id for run_id in runs if self.dispatcher.cancel(run_id, command["requestedBy"], force=False)
        ]
        return f"active runs that are cancelled: {len(ended)}"

    def _cancel(self, command: Command, payload: dict[str, Any]) -> None:
        if not self.dispatcher.cancel(payload["runId"], command["requestedBy"], bool(payload["force"])):
            raise Refusal("no such run is waiting or running here")

    def _rename(self, command: Command, payload: dict[str, Any]) -> None:
        self.on_rename(str(payload["clusterName"]))

    def _registered(self, payload: dict[str, Any]) -> str:
        name = str(payload["registrationId"])
        if name not in self.registry.workflows:
            raise Refusal(f"no workflow {name!r} is registered here")
        return name
