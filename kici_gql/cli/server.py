"""uvicorn as we run it, in one process or in several."""

from typing import Any

from starlette.applications import Starlette
from uvicorn import Config, Server

from kici_gql.api.transport.sockets import DrainingServer, http_protocol, websocket_protocol
from kici_gql.cli.logs import logging_config
from kici_gql.settings import Settings


def server_for(app: Starlette, settings: Settings) -> Server:
    """A server that ends all streams politely before it stops."""
    http = http_protocol(settings.stalled_reader_seconds)
    websocket = websocket_protocol(settings.stalled_reader_seconds, deflates=settings.websocket_compression)
    return DrainingServer(config_of(settings, app=app, http=http, ws=websocket), app.state.drain)


def config_of(settings: Settings, **how: Any) -> Config:
    """How uvicorn is to run; `how` names the application."""
    return Config(
        **how,
        host=settings.host,
        port=settings.port,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        ws_per_message_deflate=False,  # costs CPU and 40 KiB a socket; ours compresses once for all
        timeout_keep_alive=75,  # orchestrators push every 30 s and keep their connection
        timeout_graceful_shutdown=max(1, int(settings.shutdown_seconds / 2)),
        log_config=logging_config(settings.log_level, settings.log_format),
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the application looks at them itself, where they matter
        lifespan="on",
    )
