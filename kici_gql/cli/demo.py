"""`kici-gql demo`: a server and a live fleet on this machine, from one command."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from kici_gql.cli.loading import without_collector


def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="TCP port; another one is taken when it is in use.")
    ] = 8080,
    agents: Annotated[int, typer.Option(min=1, max=50, help="Agents to run.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Go on with the data of the last demo.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where its data are. [default: $XDG_DATA_HOME/kici-gql/demo]")
    ] = None,
) -> None:
    """Run a server and a real orchestrator with a few agents, on this machine and for this machine only.

    A beat every 2 s, LATE after 2 missed, LOST after 15 s; an agent that was killed comes back after 25 s. The link that is
    printed signs the browser in, once. The data are those of a new server each time, unless you say --keep. Ctrl-C ends
    everything.
    """
    import asyncio

    with without_collector():
        from kici_gql.cli.demo_fleet import DemoError, DemoFolder, run

    folder = DemoFolder(data_dir or _default_folder())
    try:
        with folder.claimed(keep):
            asyncio.run(run(folder, port, agents))
    except DemoError as error:
        print(f"kici-gql demo: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _default_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "kici-gql" / "demo"
