"""What each process of `serve --workers N` imports by name: everything is made from the environment.

uvicorn starts its workers afresh and can hand them nothing but names.
"""

from starlette.applications import Starlette

from kici_gql.api.transport.sockets import http_protocol, websocket_protocol
from kici_gql.app import create_app
from kici_gql.settings import Settings

_settings = Settings()

Http = http_protocol(_settings.stalled_reader_seconds)
WebSocket = websocket_protocol(_settings.stalled_reader_seconds, deflates=_settings.websocket_compression)


def app() -> Starlette:
    return create_app(_settings)
