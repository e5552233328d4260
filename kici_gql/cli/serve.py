"""`kici-gql serve`: the server."""

import asyncio
import json
import logging.config
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kici_gql.cli.loading import without_collector
from kici_gql.cli.options import DatabaseUrl, settings_from

if TYPE_CHECKING:
    from kici_gql.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [env: KICI_GQL_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0: any free one. [env: KICI_GQL_PORT]")] = None,
    database_url: DatabaseUrl = None,
    broadcast_url: Annotated[
        str | None, typer.Option(help="memory:// or redis://host:6379. [env: KICI_GQL_BROADCAST_URL]")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes. [env: KICI_GQL_WORKERS]")] = None,
) -> None:
    """Serve the API, the web view and the playground until stopped."""
    with without_collector():
        import kici_gql.app  # noqa: F401 - the larger part of what follows
        from kici_gql.cli.logs import logging_config

    settings = settings_from(
        host=host, port=port, database_url=database_url, broadcast_url=broadcast_url, workers=workers
    )
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    _prepare(settings)
    if settings.workers > 1:
        _serve_many(settings)
    else:
        serve_one(settings)


def serve_one(settings: "Settings") -> None:
    """Serve in this process until a signal."""
    from kici_gql.app import create_app
    from kici_gql.cli.server import server_for

    server_for(create_app(settings), settings).run()


def _serve_many(settings: "Settings") -> None:
    """Hand the settings to the workers through the environment, and supervise them."""
    from kici_gql.cli.server import config_of
    from kici_gql.cli.worker import supervise

    for name, value in settings.model_dump(mode="json", exclude={"bootstrap_token"}).items():
        os.environ[f"KICI_GQL_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    config = config_of(
        settings,
        app="",  # each worker makes its own
        workers=settings.workers,
        timeout_worker_healthcheck=30,  # a worker that starts on a busy machine is not a dead one
    )
    supervise(config)


def _prepare(settings: "Settings") -> None:
    """Database and first token. Ends the program with a sentence when that fails."""
    from sqlalchemy.exc import SQLAlchemyError

    from kici_gql.app import prepare
    from kici_gql.errors import KiciError

    try:
        secret = asyncio.run(prepare(settings))
    except KiciError as error:
        print(f"kici-gql: {error.message}. {error.hint or ''}".rstrip(), file=sys.stderr)
        raise typer.Exit(1) from None
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0]
        print(f"kici-gql: the database can't be used: {reason}", file=sys.stderr)
        raise typer.Exit(1) from None
    if secret is not None and settings.bootstrap_token is None:
        print(f"This is a new database. Its admin token, shown this once:\n\n    {secret}\n", flush=True)
