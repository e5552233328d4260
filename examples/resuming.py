"""A GraphQL subscription that survives dropped connections and restarts of the server without losing an event.

Made to be copied. It needs ``gql[websockets]`` and a server whose streams carry cursors, as kici_gql's do: each frame has
a ``cursor``, and a subscription opened with ``after: <cursor>`` goes on exactly behind it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]

SILENCE_SECONDS = 45.0
"""A stream brings a BOOKMARK every 15 s; one that brings nothing for three times as long is dead."""

FIRST_WAIT_SECONDS = 0.5
MOST_WAIT_SECONDS = 20.0
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""A snapshot comes as one message; the library's own limit of 1 MiB is that of a small fleet."""

_FINAL_CLOSE_CODES = {4400, 4401, 4403, 4410, 4411}


class StreamRefused(Exception):
    """The server won't serve this stream: a bad token or a bad operation. Trying again would not help."""


async def frames(
    url: str,
    token: str,
    document: str,
    variables: dict[str, Any] | None = None,
    on_drop: Callable[[str], None] = lambda reason: None,
) -> AsyncIterator[Frame]:
    """The frames of a subscription with one root field and a variable ``$after: Cursor``, for ever.

    ``url`` is the server's, like ``http://127.0.0.1:8080``. ``on_drop`` is told each time the connection is lost, with the
    reason. Raises StreamRefused.
    """
    cursor: str | None = None
    failures = 0
    while True:
        try:
            async with aclosing(
                _one_connection(url, token, document, {**(variables or {}), "after": cursor})
            ) as stream:
                async for frame in stream:
                    failures = 0
                    yield frame
                    # Only now: a frame whose handling was interrupted is asked for again.
                    cursor = frame["cursor"]
            on_drop("the server ended the stream")
        except (TransportError, OSError, TimeoutError) as error:
            _raise_if_final(error)
            on_drop(_reason(error))
        # Half of the wait is fixed and half drawn, so that many clients don't come back in step.
        wait_seconds = min(MOST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(failures, 10))
        failures += 1
        await asyncio.sleep(random.uniform(wait_seconds / 2, wait_seconds))  # noqa: S311 (spread, not secrecy)


async def _one_connection(
    url: str, token: str, document: str, variables: dict[str, Any]
) -> AsyncGenerator[Frame, None]:
    # One transport for one connection: gql's own reconnecting sessions don't resume, and can hang for ever.
    transport = WebsocketsTransport(
        websocket_url(url),
        init_payload={"authorization": f"Bearer {token}"},
        # gql would offer the legacy protocol first.
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        connect_args={"max_size": MAX_MESSAGE_BYTES},
        close_timeout=1,
    )
    request = GraphQLRequest(gql(document), variable_values=variables)
    async with Client(transport=transport) as session, aclosing(session.subscribe(request)) as stream:
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    data = await anext(stream)
            except StopAsyncIteration:
                return
            (frame,) = data.values()
            yield frame


def websocket_url(url: str) -> str:
    """``http://host:port`` → ``ws://host:port/graphql``. Raises ValueError."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(f"{url!r} is no server address; it should look like http://127.0.0.1:8080")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/graphql"


def _raise_if_final(error: Exception) -> None:
    if isinstance(error, TransportQueryError):
        first = (error.errors or [{}])[0]
        if not (first.get("extensions") or {}).get("retryable"):
            raise StreamRefused(first.get("message", str(error))) from error
    cause = _root(error)
    if isinstance(cause, ConnectionClosed) and cause.rcvd and cause.rcvd.code in _FINAL_CLOSE_CODES:
        raise StreamRefused(cause.rcvd.reason or f"closed with code {cause.rcvd.code}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"silent for {SILENCE_SECONDS:g} s"
    root = _root(error)
    return str(root) or repr(root)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
