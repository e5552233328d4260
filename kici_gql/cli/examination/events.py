"""Whether server-sent events get through, at once and as they are."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import aiohttp

from kici_gql.cli.examination.documents import STREAM
from kici_gql.cli.examination.finding import Finding, Status, Wrong, timely
from kici_gql.cli.examination.patient import MAX_BODY_BYTES, Patient, first_message, shown, unreachable


def events_of(scope: str | None) -> Callable[[Patient], Awaitable[Finding]]:
    async def look(patient: Patient) -> Finding:
        if scope is None:
            return Finding(Status.SKIPPED, "sse", "there is no valid token to open a stream with")
        if scope == "ORCHESTRATOR":
            return Finding(
                Status.SKIPPED,
                "sse",
                "a token of scope ORCHESTRATOR reads no stream; use another to check this",
            )
        began = monotonic()
        headers = patient.authorization | {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
        try:
            async with (
                asyncio.timeout(patient.seconds),
                patient.http.post(patient.graphql, json={"query": STREAM}, headers=headers) as response,
            ):
                _check_encoding(response)
                _check_events(response, await _until_event(response))
        except TimeoutError:
            raise Wrong(
                f"the stream brought nothing in {patient.seconds:g} s, while the server sends its first frame at once: "
                "something on the way buffers it",
                "Switch response buffering and compression off for /graphql (nginx: proxy_buffering off; gzip off).",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(patient.url, error) from None
        took = monotonic() - began
        return timely("sse", took, f"first frame after {took * 1000:.0f} ms; nothing on the way buffers")

    return look


async def _until_event(response: aiohttp.ClientResponse) -> bytes:
    """What has come when the first event is complete, or all there is."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if b"event: next" in body and body.endswith(b"\n\n"):
            break
        if response.content_type != "text/event-stream" and len(body) > MAX_BODY_BYTES:
            break
    return body


def _check_encoding(response: aiohttp.ClientResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise Wrong(
            f"something on the way compresses the stream ({encoding}), and may hold frames back",
            "Switch compression of text/event-stream off (nginx: gzip off for /graphql).",
        )


def _check_events(response: aiohttp.ClientResponse, body: bytes) -> None:
    if response.status != 200 or response.content_type != "text/event-stream":
        raise Wrong(
            f"the request for a stream was answered with {response.status} {response.content_type}: "
            f"{first_message(body)!r}",
            "Let the proxy pass the Accept header and the answer's Content-Type on.",
        )
    if b'"kind":"SNAPSHOT"' not in body:
        raise Wrong(f"the first frame is no snapshot: {shown(body)!r}", "The server's log says more.")
