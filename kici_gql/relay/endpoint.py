"""`/ws`: where stock KiCI orchestrators connect."""

import asyncio
from collections import Counter
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from kici_gql.actions.surfaces import Surfaces
from kici_gql.auth import Authenticator, Viewer
from kici_gql.errors import LimitExceeded
from kici_gql.feed import Feed
from kici_gql.relay.connection import GOODBYE, Connection, Process
from kici_gql.relay.dispatch import Dispatch
from kici_gql.relay.messages.codes import Close
from kici_gql.relay.scribe import Scribe
from kici_gql.settings import Settings
from kici_gql.store import Store

GRACE_SECONDS = 5.0
"""A link that broke is usually made again within seconds; only then the orchestrator counts as gone."""

_SILENT = {1005, 1006}
"""What servers write where no close frame came."""


class RelayEndpoint:
    """An ASGI application for `websocket` scopes. `drain` before the server stops."""

    def __init__(
        self,
        store: Store,
        feed: Feed,
        settings: Settings,
        auth: Authenticator,
        surfaces: Surfaces,
        process_id: str,
    ) -> None:
        self._settings = settings
        self._tokens: Counter[str] = Counter()
        self._farewells: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        dispatch = Dispatch(store, feed)
        self._process = Process(store, feed, settings, auth, dispatch, surfaces, self._admit, process_id)
        self._open = self._process.links

    @property
    def connections(self) -> int:
        """Open sockets, whether authenticated yet or not."""
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Browsers have no business here, and the credential is in the first frame: so no Origin is allowed."""
        if (await receive())["type"] != "websocket.connect":
            return
        from_browser = any(name == b"origin" for name, _ in scope["headers"])
        if self._draining.is_set() or from_browser or len(self._open) >= self._settings.max_connections:
            await send({"type": "websocket.close", "code": int(Close.GOING_AWAY), "reason": "not now"})
            return
        await send({"type": "websocket.accept"})
        connection = Connection(self._process, scope, receive, send)
        self._open.add(connection)
        try:
            await connection.run()
        except OSError:
            pass  # what ASGI raises on a write to somebody who is gone
        finally:
            self._open.discard(connection)
            connection.over.set()
            self._say_goodbye(connection)

    async def drain(self, seconds: float) -> None:
        """End every connection: another process, or the next life of this one, takes them up again."""
        self._draining.set()
        for connection in self._open:
            connection.end(Close.GOING_AWAY, "the server is restarting")
        if self._open:
            await asyncio.wait(
                [asyncio.ensure_future(each.over.wait()) for each in self._open], timeout=seconds
            )
        await asyncio.gather(*self._farewells, return_exceptions=True)

    def _admit(self, viewer: Viewer) -> Callable[[], None]:
        limit = self._settings.max_connections_per_token
        if self._tokens[viewer.token_id] >= limit:
            message = f"too many connections of this token: max_connections_per_token={limit}"
            raise LimitExceeded(message, passing=True)
        self._tokens[viewer.token_id] += 1

        def leave() -> None:
            self._tokens[viewer.token_id] -= 1
            if not self._tokens[viewer.token_id]:
                del self._tokens[viewer.token_id]

        return leave

    def _say_goodbye(self, connection: Connection) -> None:
        scribe = connection.scribe
        if scribe is None or not scribe.connection_id:
            return
        task = asyncio.create_task(self._farewell(scribe, connection.closed_with))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _farewell(self, scribe: Scribe, code: int | None) -> None:
        if code == GOODBYE:
            await scribe.leave("said goodbye")
            return
        await scribe.let_go()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._draining.wait()  # if it is us who end, nobody is gone
        except TimeoutError:
            told = code is not None and code not in _SILENT
            await scribe.lose(
                f"the connection ended (code {code})" if told else "the connection ended without a goodbye"
            )
