"""Several subscriptions over one WebSocket, resumed by cursor after every drop: what `kici-gql watch` is fed by."""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

from kici_gql.errors import KiciError, Unauthenticated

Frame = dict[str, Any]

SILENCE_SECONDS = 45.0  # each stream brings a BOOKMARK every 15 s
FIRST_WAIT_SECONDS = 0.5
MOST_WAIT_SECONDS = 10.0
MAX_MESSAGE_BYTES = 64 * 1024 * 1024  # a snapshot is one message, whatever the size of the fleet
_WAITING_FRAMES = 100

_REFUSED = {4400, 4401, 4403, 4410, 4411}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One frame of the operation of this name."""

    name: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection is gone; the next one is tried after `wait_seconds`."""

    reason: str
    wait_seconds: float


async def follow(
    url: str, token: str, operations: Mapping[str, str], variables: Mapping[str, Any]
) -> AsyncGenerator[Delivery | Dropped, None]:
    """All frames of all operations, for ever; each has one root field and takes `$after: Cursor`.

    Raises Unauthenticated when the token is refused, KiciError when an operation is.
    """
    cursors: dict[str, str | None] = dict.fromkeys(operations)
    failures = 0
    while True:
        try:
            async with aclosing(_connection(url, token, operations, variables, cursors)) as deliveries:
                async for delivery in deliveries:
                    failures = 0
                    yield delivery
                    cursors[delivery.name] = delivery.frame["cursor"]
            reason = "the server ended the stream"
        except (TransportError, OSError, TimeoutError) as error:
            if refusal := _refusal(error):
                raise refusal from error
            reason = _reason(error)
        # Half of the wait is fixed and half drawn, so that many watchers don't come back in step.
        whole = min(MOST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(failures, 10))
        wait_seconds = random.uniform(whole / 2, whole)  # noqa: S311 - spread, not secrecy
        failures += 1
        yield Dropped(reason, wait_seconds)
        await asyncio.sleep(wait_seconds)


def websocket_url(url: str) -> str:
    """`http://host:port` → `ws://host:port/graphql`. Raises ValueError."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(f"{url!r} is no server address; it should look like http://127.0.0.1:8080")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/graphql"


async def _connection(
    url: str,
    token: str,
    operations: Mapping[str, str],
    variables: Mapping[str, Any],
    cursors: Mapping[str, str | None],
) -> AsyncGenerator[Delivery, None]:
    """The frames of one connection, to its end. A transport is used once: gql's reconnecting one doesn't resume."""
    transport = WebsocketsTransport(
        websocket_url(url),
        init_payload={"Authorization": f"Bearer {token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],  # gql would offer the legacy one first
        connect_args={"max_size": MAX_MESSAGE_BYTES},
        close_timeout=1,
    )
    # None: an operation came to its end.
    arrived: asyncio.Queue[Delivery | Exception | None] = asyncio.Queue(_WAITING_FRAMES)
    async with Client(transport=transport) as session:
        readers = [
            asyncio.create_task(
                _read(session, name, document, {**variables, "after": cursors[name]}, arrived)
            )
            for name, document in operations.items()
        ]
        try:
            while item := await arrived.get():
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


async def _read(
    session: AsyncClientSession,
    name: str,
    document: str,
    variables: dict[str, Any],
    arrived: asyncio.Queue[Delivery | Exception | None],
) -> None:
    try:
        async with aclosing(
            session.subscribe(GraphQLRequest(gql(document), variable_values=variables))
        ) as stream:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    data = await anext(stream)
                (frame,) = data.values()
                await arrived.put(Delivery(name, frame))
    except StopAsyncIteration:
        await arrived.put(None)
    except Exception as error:  # noqa: BLE001 - it is raised by whoever takes it out of the queue
        await arrived.put(error)


def _refusal(error: Exception) -> KiciError | None:
    """What the server will say again however often it is asked, as an error of ours."""
    if isinstance(error, TransportQueryError):
        first = (error.errors or [{}])[0]
        extensions = first.get("extensions") or {}
        if extensions.get("retryable"):
            return None
        message = str(first.get("message", error))
        return (Unauthenticated if extensions.get("code") == "UNAUTHENTICATED" else KiciError)(message)
    root = _root(error)
    if isinstance(root, ConnectionClosed) and root.rcvd is not None and root.rcvd.code in _REFUSED:
        return Unauthenticated(root.rcvd.reason or f"closed with code {root.rcvd.code}")
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    root = _root(error)
    return str(root) or type(root).__name__


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
