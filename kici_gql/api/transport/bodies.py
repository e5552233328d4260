"""Reading a request body that may be too large, too slow or no JSON."""

import asyncio

from starlette.types import Receive, Scope

from kici_gql.api.transport.headers import Headers
from kici_gql.api.transport.negotiation import JSON, media_type
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.refusals import HttpRefused, refused
from kici_gql.api.transport.sockets import has_arrived
from kici_gql.errors import ErrorCode

_UTF8 = {"utf-8", "utf8"}
_DISCARDED_BYTES = 16_777_216
_DISCARDED_SECONDS = 2.0


def check_content_type(headers: Headers) -> None:
    """Raises HttpRefused (415) for anything but plain JSON in UTF-8."""
    name, parameters = media_type(headers.get("content-type"))
    if name != JSON:
        raise refused(415, f"A POST body must be {JSON}.", accept_post=JSON)
    if parameters.get("charset", "utf-8").lower() not in _UTF8:
        raise refused(415, "The charset of the body must be UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise refused(415, "Compressed bodies are not supported.", accept_encoding="identity")


async def read_body(scope: Scope, receive: Receive, headers: Headers, options: TransportOptions) -> bytes:
    """The whole body; raises HttpRefused (413, 408)."""
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > options.max_body_bytes:
        if "expect" not in headers:  # else it waits for our word before it sends anything
            await _discard(receive)
        raise _too_large(options)
    try:
        if has_arrived(scope):
            body = await _read(receive, options.max_body_bytes)
        else:
            async with asyncio.timeout(options.body_seconds):
                body = await _read(receive, options.max_body_bytes)
    except TimeoutError:
        seconds = f"body_seconds={options.body_seconds:g}"
        raise refused(408, f"The body took too long: the limit is {seconds}.", connection="close") from None
    if body is None:
        await _discard(receive)
        raise _too_large(options)
    return body


def _too_large(options: TransportOptions) -> HttpRefused:
    message = f"The body is too large: the limit is max_body_bytes={options.max_body_bytes}."
    return refused(413, message, ErrorCode.LIMIT_EXCEEDED, connection="close")


async def _read(receive: Receive, limit: int) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise ConnectionResetError("the client left before its body was complete")
        chunks.append(part.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return None
        if not part.get("more_body", False):
            return b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Read on for a while and keep nothing.

    A socket closed with unread bytes in it is reset, and the reset takes our answer with it: the client would
    see a broken connection where a 413 says what is wrong.
    """
    size = 0
    try:
        async with asyncio.timeout(_DISCARDED_SECONDS):
            while size < _DISCARDED_BYTES:
                part = await receive()
                size += len(part.get("body", b""))
                if not part.get("more_body", False):
                    return
    except TimeoutError:
        pass
