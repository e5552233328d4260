"""What an orchestrator must remember between two runs: its names. One small JSON file in its state directory."""

import fcntl
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO


class StateError(Exception):
    """The state directory can't be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class State:
    """``cluster_name`` is None until the server has given one or a user has chosen one.

    ``cluster_id`` is the server's own name for the cluster: by it the cluster is known again under a new name.
    """

    instance_id: str
    cluster_name: str | None = None
    cluster_id: str | None = None


class StateDirectory:
    """The directory that belongs to one orchestrator; two at once are refused.

    Two programs that connect with one instance id would take the connection from each other for ever, hence the lock.
    It is the operating system's: it goes when the process goes, however that happens.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @property
    def file(self) -> Path:
        """Where the names are."""
        return self.path / "orchestrator.json"

    @property
    def book(self) -> Path:
        """Where the rest is that has to survive: see ``book``."""
        return self.path / "book.json"

    @property
    def letters(self) -> Path:
        """Where the events are that found no workflow: see ``administration``."""
        return self.path / "dead-letters.json"

    def lock(self) -> None:
        """Create the directory and claim it for this process. Raises StateError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise StateError(
                f"another orchestrator runs with {self.path}; give this one its own --state-dir"
            ) from None
        except OSError as error:
            self.release()
            raise StateError(f"state directory {self.path}: {error.strerror}") from error

    def release(self) -> None:
        """Let another process have the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def load(self) -> State:
        """What is remembered; at first a new random instance id, which is written down. Raises StateError."""
        try:
            values = json.loads(self.file.read_text())
            return State(
                _text(values["instanceId"]),
                _text(values["clusterName"]) if values["clusterName"] else None,
                _text(values["clusterId"]) if values.get("clusterId") else None,
            )
        except FileNotFoundError:
            state = State(str(uuid.uuid4()))
            self.save(state)
            return state
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StateError(f"{self.file} can't be read ({error!r}); mend it or remove it") from error

    def save(self, state: State) -> None:
        """Write the state down, whole or not at all. Raises StateError."""
        values = {
            "instanceId": state.instance_id,
            "clusterName": state.cluster_name,
            "clusterId": state.cluster_id,
        }
        text = json.dumps(values, indent=2)
        write_whole(self.file, text + "\n")


def write_whole(file: Path, text: str) -> None:
    """Write the file, whole or not at all, whatever happens meanwhile. Raises StateError."""
    draft = file.with_suffix(".new")
    try:
        with draft.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    except OSError as error:
        raise StateError(f"{file} can't be written: {error.strerror}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
