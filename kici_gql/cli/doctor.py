"""`kici-gql doctor`: whether the server is there, and whether all that is between it and us lets a stream through."""

import asyncio
import sys
from typing import Annotated

import typer


def doctor(
    url: Annotated[
        str, typer.Option(envvar="KICI_GQL_URL", help="The server, as clients and browsers reach it.")
    ] = "http://127.0.0.1:8080",
    token: Annotated[
        str,
        typer.Option(envvar="KICI_GQL_TOKEN", help="Any token. Better set the variable: `ps` shows flags."),
    ] = "",
    patience_seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="How long each check may take.")
    ] = 5.0,
) -> None:
    """Check a server from where its clients are, and say what is wrong and what would be right.

    Looks at /healthz and /readyz, GraphQL over HTTP, the clocks, the token, and at how long the first frame takes over
    graphql-transport-ws and over server-sent events. It only reads. Exit status: 0 when all is well or only worth a
    warning, 1 when something failed, 2 when it was called wrongly.
    """
    from kici_gql.cli.examination.examine import examine
    from kici_gql.cli.examination.finding import Status
    from kici_gql.cli.live import websocket_url

    try:
        websocket_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    failed = 0

    async def run() -> None:
        nonlocal failed
        async for finding in examine(url.rstrip("/"), token, patience_seconds):
            print(finding, flush=True)
            failed += finding.status is Status.FAILED

    asyncio.run(run())
    if failed:
        print(f"\n{failed} of the checks failed.", file=sys.stderr)
        raise typer.Exit(1)
