"""What an orchestrator must know again after it was killed: one JSON file, written whole or not at all.

It holds what users changed about workflows, the answers to the last commands, and the runs that have not ended or whose
end the server was not told yet. A command's answer and what it changed are written in one go, so a command is either done
and remembered, or neither.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.state import StateError, write_whole

MOST_ANSWERS: Final = 500
"""Answers that are kept; a command comes again only while the server has no answer to it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command, as ``orchestratorCompleteCommand`` wants it."""

    succeeded: bool
    message: str | None = None
    result: dict[str, Any] = field(default_factory=dict)


class Book:
    """The file and its content. Change the content, then ``save``.

    ``digest`` is of the workflows that ``version`` stands for; ``deleted`` maps a name to the digest of what was deleted;
    ``runs`` holds the record of each run by its id.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.version = 0
        self.digest = ""
        self.disabled: set[str] = set()
        self.deleted: dict[str, str] = {}
        self.answers: dict[str, Answer] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def load(self) -> None:
        """Read what is there; nothing is a new book. Raises StateError."""
        try:
            values = json.loads(self.file.read_text())
            self.version = int(values["version"])
            self.digest = str(values["digest"])
            self.disabled = set(values["disabled"])
            self.deleted = dict(values["deleted"])
            self.answers = {key: Answer(**each) for key, each in values["answers"].items()}
            self.runs = dict(values["runs"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StateError(f"{self.file} can't be read ({error!r}); mend it or remove it") from error

    def answer(self, command_id: str, answer: Answer) -> None:
        """Remember the answer to a command."""
        self.answers[command_id] = answer
        while len(self.answers) > MOST_ANSWERS:
            del self.answers[next(iter(self.answers))]

    def save(self) -> None:
        """Write it down. Raises StateError."""
        values = {
            "version": self.version,
            "digest": self.digest,
            "disabled": sorted(self.disabled),
            "deleted": self.deleted,
            "answers": {key: asdict(each) for key, each in self.answers.items()},
            "runs": self.runs,
        }
        write_whole(self.file, json.dumps(values, indent=1) + "\n")
