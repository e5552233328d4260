"""`kici-gql cluster-name`: the name that an orchestrator on this host keeps, as `clusterRename` sets it from afar."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(help="The cluster name of an orchestrator on this host.", no_args_is_help=True)

StateDir = Annotated[Path, typer.Option(help="The orchestrator's own --state-dir.", show_default=True)]
_STATE_HOME = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
_DEFAULT = _STATE_HOME / "kici-gql" / "orchestrator"


@app.command()
def get(state_dir: StateDir = _DEFAULT) -> None:
    """Print the name that the orchestrator connects with."""
    name = _read(_file(state_dir))["clusterName"]
    if name is None:
        _fail("the orchestrator has no cluster name yet: the server gives it one when it first connects")
    print(name)


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="1 to 63 lower-case letters, digits and hyphens.")],
    state_dir: StateDir = _DEFAULT,
) -> None:
    """Give the cluster another name, as of the orchestrator's next start. Its ids and history stay.

    To go back to a name that the cluster had in the last 30 days, use the mutation clusterRename: until then the old
    name means the cluster as it is called now.
    """
    from kici_gql.errors import KiciError
    from kici_gql.rules import names

    try:
        names.check_name(name, "name")
    except KiciError as error:
        _fail(f"{error.message}. {error.hint}")
    file = _file(state_dir)
    with _locked(file.parent):
        state = _read(file)
        if state["clusterName"] != name:
            _write(file, state | {"clusterName": name})
    print(f"{name}: as of the next start of the orchestrator")


def _file(state_dir: Path) -> Path:
    return state_dir / "orchestrator.json"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock that a running orchestrator holds, so that neither overwrites what the other has written."""
    import fcntl

    try:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        _fail(
            f"an orchestrator runs with {folder}: stop it first, or rename its cluster with the mutation clusterRename"
        )
    except OSError as error:
        _fail(f"{folder}: {error.strerror}")


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text())
        if not isinstance(values["instanceId"], str) or not isinstance(values["clusterName"], str | None):
            raise TypeError("not what an orchestrator writes")
    except FileNotFoundError:
        _fail(f"there is no {file}: name the orchestrator's --state-dir; it must have been started once")
    except (OSError, ValueError, TypeError, KeyError) as error:
        _fail(f"{file} can't be read ({error!r})")
    state: dict[str, Any] = values
    return state


def _write(file: Path, state: dict[str, Any]) -> None:
    """Whole or not at all."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=2) + "\n")
    draft.replace(file)


def _fail(text: str) -> NoReturn:
    print(f"kici-gql: {text}", file=sys.stderr)
    raise typer.Exit(1)
