"""The one address `/graphql`, whatever is spoken there."""

from collections.abc import Awaitable

from starlette.types import Receive, Scope, Send

from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.ports import Authenticator
from kici_gql.api.transport.gate import Gate
from kici_gql.api.transport.http import HttpEndpoint
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.websocket import WebSocketEndpoint


class GraphQLEndpoint:
    """An ASGI application for `http` and `websocket` scopes.

    Put the same object behind a `Route` and a `WebSocketRoute` of the same path: a `Mount` would redirect the
    one and refuse the other.
    """

    def __init__(
        self, operations: Operations, auth: Authenticator, options: TransportOptions | None = None
    ) -> None:
        options = options or TransportOptions()
        self.gate = Gate(options)
        self._http = HttpEndpoint(operations, auth, options, self.gate)
        self._websocket = WebSocketEndpoint(operations, auth, options, self.gate)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        endpoint = self._websocket if scope["type"] == "websocket" else self._http
        return endpoint(scope, receive, send)

    async def drain(self, seconds: float) -> None:
        """End all sockets and streams politely, in `seconds` at most; call it before the server stops."""
        await self.gate.drain(seconds)
