"""The workflows this orchestrator offers: those of its file, without what users deleted or switched off."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from orchestrator.book import Book
from orchestrator.definitions import BadDefinition, Declared, Workflow, parse
from orchestrator.reports import Input

log = logging.getLogger(__name__)


class Registry:
    """Reads the file anew when it has changed. A file that can't be used leaves the workflows as they were, and is an ``error``.

    Users' changes are kept in the book. A workflow that was deleted comes back when its definition changes.
    """

    def __init__(self, file: Path | None, book: Book) -> None:
        self.file = file
        self.book = book
        self.error: str | None = None
        self._defined: dict[str, Workflow] = {}
        self._stamp: tuple[int, int] | None = None

    @property
    def version(self) -> str:
        """Grows with each change."""
        return str(self.book.version)

    @property
    def workflows(self) -> dict[str, Workflow]:
        """What is registered, by name."""
        return {name: each for name, each in self._defined.items() if name not in self.book.deleted}

    def load(self) -> None:
        """Read the file for the first time. Raises BadDefinition, OSError or StateError."""
        if self.file is not None:
            self._read(self.file)
        self._settle()

    def refresh(self) -> bool:
        """Look whether the file has changed. Answers whether that changed anything here. Raises StateError."""
        if self.file is None:
            return False
        before = self.error
        try:
            if _stamp(self.file) == self._stamp:
                return False
            self._read(self.file)
        except (BadDefinition, OSError) as error:
            self.error = f"{self.file.name}: {error}"[:500]
            if self.error != before:
                log.error("the workflows stay as they were: %s", self.error)
            return self.error != before
        return self._settle() or self.error != before

    def is_enabled(self, name: str) -> bool:
        return name not in self.book.disabled

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Switch it; the caller saves the book."""
        (self.book.disabled.discard if enabled else self.book.disabled.add)(name)
        self._count()

    def delete(self, name: str) -> None:
        """Take it out; the caller saves the book."""
        self.book.deleted[name] = _digest(self._defined[name])
        self.book.disabled.discard(name)
        self._count()

    def inputs(self) -> dict[str, Input]:
        """A WorkflowReportInput for each workflow, by name."""
        source = self.file.name if self.file is not None else None
        return {name: _input(each, self.is_enabled(name), source) for name, each in self.workflows.items()}

    def _read(self, file: Path) -> None:
        stamp = _stamp(file)
        try:
            self._defined = parse(file.read_text())
        except UnicodeDecodeError as error:
            raise BadDefinition(f"not UTF-8: {error}") from error
        finally:
            self._stamp = stamp  # also of a bad one, which is not tried again before it has changed
        self.error = None

    def _settle(self) -> bool:
        """Forget what was said of definitions that are no more, and count up if anything changed."""
        deleted, disabled = self.book.deleted, self.book.disabled
        self.book.deleted = {
            name: digest
            for name, digest in deleted.items()
            if name in self._defined and _digest(self._defined[name]) == digest
        }
        self.book.disabled = disabled & set(self._defined)
        changed = self._count()
        if changed:
            self.book.save()
        return changed

    def _count(self) -> bool:
        digest = hashlib.sha256(json.dumps(self.inputs(), sort_keys=True).encode()).hexdigest()
        if digest == self.book.digest:
            return False
        self.book.digest = digest
        self.book.version += 1
        return True


class Telling:
    """What the server was told of a registry over one connection."""

    def __init__(self) -> None:
        self.workflows: dict[str, Input] | None = None
        self.version: str | None = None
        self.error: str | None = None

    def news(self, registry: Registry) -> Input | None:
        """An OrchestratorReportWorkflowsInput without its connection: all at first, then what changed; None: nothing."""
        now = registry.inputs()
        if (self.workflows, self.version, self.error) == (now, registry.version, registry.error):
            return None
        before = self.workflows or {}
        return {
            "full": self.workflows is None,
            "registryVersion": registry.version,
            "registryError": registry.error,
            "workflows": [each for name, each in now.items() if before.get(name) != each],
            "removed": [name for name in before if name not in now],
        }

    def told(self, registry: Registry, workflows: dict[str, Input]) -> None:
        """The server knows these now."""
        self.workflows, self.version, self.error = workflows, registry.version, registry.error


def _input(workflow: Workflow, enabled: bool, source_file: str | None) -> Input:
    return {
        "registrationId": workflow.name,
        "name": workflow.name,
        "repository": workflow.repository,
        "triggers": [{"type": each.type, "config": dict(each.config)} for each in workflow.triggers],
        "inputs": [_declared(each) for each in workflow.inputs],
        "sourceFile": source_file,
        "enabled": enabled,
    }


def _declared(declared: Declared) -> Input:
    return {
        "name": declared.name,
        "type": declared.type,
        "required": declared.required,
        "default": declared.default,
        "options": list(declared.options),
        "description": declared.description,
    }


def _digest(workflow: Workflow) -> str:
    return hashlib.sha256(repr(workflow).encode()).hexdigest()


def _stamp(file: Path) -> tuple[int, int]:
    about: Any = file.stat()
    return about.st_mtime_ns, about.st_size
