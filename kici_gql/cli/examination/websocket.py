"""Whether operations get through over a WebSocket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import monotonic

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from kici_gql.cli.examination.documents import STREAM, WHO
from kici_gql.cli.examination.finding import Finding, Status, Wrong, timely
from kici_gql.cli.examination.patient import Patient, first_message
from kici_gql.cli.live import websocket_url


def websocket_of(scope: str | None) -> Callable[[Patient], Awaitable[Finding]]:
    async def look(patient: Patient) -> Finding:
        if scope is None:
            return Finding(Status.SKIPPED, "websocket", "there is no valid token to open one with")
        try:
            async with asyncio.timeout(patient.seconds):
                return await _first_frame(patient, STREAM if scope != "ORCHESTRATOR" else WHO)
        except TimeoutError:
            raise Wrong(
                f"nothing came over the WebSocket in {patient.seconds:g} s",
                "Let the proxy pass the upgrade and what follows on at once (nginx: proxy_http_version 1.1, Upgrade, "
                "Connection; see docs/operations.md).",
            ) from None
        except InvalidStatus as error:
            raise _handshake_refused(error, patient.url) from None
        except ConnectionClosed as error:
            frame = error.rcvd
            raise Wrong(
                f"the WebSocket was closed with {frame.code} {frame.reason!r}"
                if frame
                else "the WebSocket was cut",
                "docs/subscriptions.md lists what each close code asks for; without one, look at the proxy's log.",
            ) from None
        except (OSError, InvalidHandshake, EOFError) as error:
            raise Wrong(
                f"no WebSocket could be opened: {error}",
                "Let the proxy pass WebSockets on /graphql (docs/operations.md has a configuration for nginx).",
            ) from None

    return look


async def _first_frame(patient: Patient, query: str) -> Finding:
    began = monotonic()
    async with websockets.connect(
        websocket_url(patient.url),
        subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
        origin=websockets.Origin(_origin(patient.url)),  # as the web view, which the proxy must not break
        proxy=None,
        open_timeout=None,
        close_timeout=1,
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": patient.authorization}))
        request = {"type": "subscribe", "id": "1", "payload": {"query": query}}
        while (message := json.loads(await socket.recv()))["type"] not in {"next", "error"}:
            if message["type"] == "connection_ack":
                await socket.send(json.dumps(request))
        took = monotonic() - began
    if message["type"] == "error":
        raise Wrong(
            f"the operation was refused: {message['payload'][0]['message']}",
            "The message says what to change.",
        )
    what = "first frame" if query is STREAM else "answer"
    return timely("websocket", took, f"{what} after {took * 1000:.0f} ms")


def _handshake_refused(error: InvalidStatus, url: str) -> Wrong:
    response = error.response
    message = first_message(bytes(response.body or b""))
    if response.status_code == 403 and "origin" in message:
        return Wrong(
            f"the server does not take {_origin(url)} for an origin of its own, so browsers can't connect",
            "Let the proxy pass the Host header on unchanged (nginx: proxy_set_header Host $http_host), "
            f"""or set KICI_GQL_ALLOWED_ORIGINS='["{_origin(url)}"]'.""",
        )
    return Wrong(
        f"the handshake was answered with {response.status_code} {message!r}",
        "Let the proxy pass the headers Upgrade, Connection and Sec-WebSocket-Protocol on for /graphql "
        "(docs/operations.md has a configuration for nginx).",
    )


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
