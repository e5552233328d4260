"""What the operator of this orchestrator has set up: reported whole, and done when users ask for it."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from orchestrator.book import Answer
from orchestrator.reports import Input
from orchestrator.secrets import Watched
from orchestrator.settings import BadSettings, Settings, read
from orchestrator.state import write_whole

log = logging.getLogger(__name__)

SYNC_SECONDS: Final = 60.0
"""How often the secret backends are read without anybody's asking."""

_OPERATIONS: Final = {
    "BACKEND_SYNC": "backends.sync_one",
    "BACKEND_SYNC_ALL": "backends.sync",
    "BACKEND_TEST": "backends.test",
    "DEAD_LETTER_RETRY": "event_dlq.retry",
    "DEAD_LETTER_DISCARD": "event_dlq.discard",
    "SET_ENABLED": "registration.disable",
    "DELETE": "registration.delete",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that found no workflow to start. ``workflow`` is the one that it is for."""

    id: str
    event: str
    workflow: str
    attempts: int = 1
    reason: str | None = None
    created_at: str | None = None


class Administration:
    """The settings file, the secret backends and the dead letters. ``retry`` starts a workflow, or says why it can't.

    ``on_change`` is called when there is something new to report.
    """

    def __init__(
        self,
        file: Path | None,
        letters: Path,
        retry: Callable[[str], str | None] = lambda _: "there is nobody to send it to",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.file = file
        self.letters = letters
        self.retry = retry
        self.on_change = on_change
        self.settings = Settings()
        self.backends: dict[str, Watched] = {}
        self._stamp: object = None
        self._one_at_a_time = asyncio.Lock()

    def load(self) -> None:
        """Read the file for the first time. Raises BadSettings."""
        self._take(read(self.file))

    async def run(self) -> None:
        """Read the backends now and then, and the file when it has changed; for ever."""
        while True:
            self._refresh()
            await self.sync(list(self.backends))
            self.on_change()
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        for _ in range(int(SYNC_SECONDS)):
            await asyncio.sleep(1)
            if self._look() != self._stamp:
                return

    def allows(self, kind: str, enabled: bool | None = None) -> str | None:
        """The name of the write that the operator does not allow, if it is one."""
        operation = _OPERATIONS.get(kind)
        if operation is None or (kind == "SET_ENABLED" and enabled) or self.settings.allows(operation):
            return None
        return operation

    async def sync(self, names: list[str]) -> list[str]:
        """Read these backends anew. Answers what went wrong."""
        async with self._one_at_a_time:
            wanted = [self.backends[name] for name in names if name in self.backends]
            errors = [await asyncio.to_thread(each.sync) for each in wanted]
        return [error for error in errors if error is not None]

    async def do(self, kind: str, payload: dict[str, Any]) -> Answer:
        """Carry a command about backends or dead letters out."""
        if kind == "BACKEND_SYNC_ALL":
            return self._synced(await self.sync(list(self.backends)))
        if kind in {"DEAD_LETTER_RETRY", "DEAD_LETTER_DISCARD"}:
            return self._letter(str(payload["deadLetterId"]), retry=kind == "DEAD_LETTER_RETRY")
        name = str(payload["backend"])
        if name not in self.backends:
            return Answer(False, "no such secret backend is set up here")
        if kind == "BACKEND_SYNC":
            return self._synced(await self.sync([name]))
        async with self._one_at_a_time:
            milliseconds, error = await asyncio.to_thread(self.backends[name].test)
        result = {"ok": error is None, "latencyMs": round(milliseconds)} | ({"error": error} if error else {})
        return Answer(True, None, result)

    def report(self) -> Input:
        """An OrchestratorReportSettingsInput without its connection: all there is."""
        return {
            "securityPolicy": self.settings.policy,
            "environments": list(self.settings.environments),
            "globalWorkflows": self.settings.global_workflows,
            "secretScopes": self._scopes(),
            "deadLetters": [_letter_input(each) for each in self._queue()],
            "secretBackends": [_backend_input(each) for each in self.backends.values()],
        }

    def _scopes(self) -> list[Input]:
        names: dict[str, set[str]] = {scope: set() for scope in self.settings.bindings}
        for each in self.backends.values():
            for scope, secrets in each.found.items():
                names.setdefault(scope, set()).update(secrets)
        bindings = self.settings.bindings
        return [
            {"name": scope, "secretNames": sorted(secrets), "bindings": bindings.get(scope, [])}
            for scope, secrets in sorted(names.items())
        ]

    def _synced(self, errors: list[str]) -> Answer:
        return Answer(not errors, "; ".join(errors)[:2000] or None)

    def _letter(self, letter_id: str, *, retry: bool) -> Answer:
        queue = {each.id: each for each in self._queue()}
        letter = queue.pop(letter_id, None)
        if letter is None:
            return Answer(False, "no such dead letter is here")
        error = self.retry(letter.workflow) if retry else None
        if error is not None:
            again = Letter(
                letter.id, letter.event, letter.workflow, letter.attempts + 1, error, letter.created_at
            )
            queue = {each.id: again if each.id == letter_id else each for each in self._queue()}
        write_whole(self.letters, json.dumps([asdict(each) for each in queue.values()], indent=1) + "\n")
        return Answer(error is None, error)

    def _queue(self) -> list[Letter]:
        try:
            return [Letter(**each) for each in json.loads(self.letters.read_text())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            log.error("%s can't be read: %r", self.letters, error)
            return []

    def _refresh(self) -> None:
        if self._look() == self._stamp:
            return
        try:
            self._take(read(self.file))
        except BadSettings as error:
            self._stamp = self._look()
            log.error("the settings stay as they were: %s", error)

    def _take(self, settings: Settings) -> None:
        self._stamp = self._look()
        known = {each.backend: each for each in self.backends.values()}
        self.settings = settings
        self.backends = {each.name: known.get(each, Watched(each)) for each in settings.backends}

    def _look(self) -> object:
        return [_stamp(file) for file in (self.file, self.letters) if file is not None]


def _stamp(file: Path) -> object:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


def _backend_input(watched: Watched) -> Input:
    at = watched.last_sync_at
    health = "UNREACHABLE" if watched.error else "HEALTHY" if at is not None else "UNKNOWN"
    return {
        "name": watched.backend.name,
        "type": watched.backend.type,
        "connected": watched.error is None and at is not None,
        "health": health,
        "scopes": sorted(watched.found),
        "lastSyncAt": None if at is None else datetime.fromtimestamp(at, UTC).isoformat(),
        "lastError": watched.error,
    }


def _letter_input(letter: Letter) -> Input:
    return {
        "id": letter.id,
        "eventName": letter.event,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "createdAt": letter.created_at,
    }
