"""`kici-gql watch`: the tree, live, in a terminal."""

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from kici_gql.errors import KiciError


def watch(
    url: Annotated[str, typer.Option(envvar="KICI_GQL_URL", help="The server.")] = "http://127.0.0.1:8080",
    token: Annotated[
        str,
        typer.Option(
            envvar="KICI_GQL_TOKEN", help="Token that may read. Better set the variable: `ps` shows flags."
        ),
    ] = "",
    org: Annotated[str, typer.Option(help="Slug of the org.")] = "default",
    cluster: Annotated[str | None, typer.Option(help="Show only this cluster.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the tree one time and end.")] = False,
) -> None:
    """Show the fleet, live: clusters, orchestrators, scalers and agents, with their ages and liveness.

    Nothing is asked twice: a snapshot comes first, then every change is pushed. When the stream breaks, the first line says
    so and how old the rest is; the stream is resumed as soon as the server is back. Ctrl-C ends it.
    Into a file or a pipe the tree is printed one time.
    """
    from rich.console import Console

    from kici_gql.cli.fleet_view import show
    from kici_gql.cli.live import websocket_url

    if not token:
        raise typer.BadParameter("set KICI_GQL_TOKEN to a token of scope viewer", param_hint="--token")
    try:
        websocket_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(show(url, token, org, cluster, once, Console()))
    except KiciError as error:
        typer.echo(f"kici-gql watch: {error.message}", err=True)
        raise typer.Exit(1) from None
