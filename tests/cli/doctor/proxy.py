"""What stands in front of a server and spoils something."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

Head = bytes
Rewrite = Callable[[Head], Head]


def _same(head: Head) -> Head:
    return head


def _constant(_: Head) -> bytes | None:
    return None


@dataclass
class Proxy:
    """Passes bytes on, except as it is told. `answer` may answer by itself; `hold` keeps event streams to their end."""

    upstream: str
    request: Rewrite = _same
    response: Rewrite = _same
    answer: Callable[[Head], bytes | None] = _constant
    hold: bool = False

    async def __call__(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._relay(client, reply)

    async def _relay(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        head = await client.readuntil(b"\r\n\r\n")
        if (own := self.answer(head)) is not None:
            reply.write(own)
            await reply.drain()
            return
        # One request for each connection, or the second would pass unseen.
        if b"upgrade: websocket" not in head.lower():
            head = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        host, _, port = self.upstream.removeprefix("http://").partition(":")
        origin, out = await asyncio.open_connection(host, int(port))
        try:
            out.write(self.request(head))
            back = asyncio.create_task(self._back(origin, reply, b"text/event-stream" in head))
            forth = asyncio.create_task(_pump(client, out))
            await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
            if not back.done():
                out.close()
            forth.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)
        finally:
            await closed(out)

    async def _back(self, origin: asyncio.StreamReader, reply: asyncio.StreamWriter, events: bool) -> None:
        if events and self.hold:
            reply.write(await origin.read())
            return
        head = await origin.readuntil(b"\r\n\r\n")
        reply.write(self.response(head) if events else head)
        await _pump(origin, reply)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        try:
            await handler(client, reply)
        finally:
            await closed(reply)

    def accept(client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(client, reply))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def without(header: bytes) -> Rewrite:
    return lambda head: re.sub(rb"(?im)^" + header + rb":.*\r\n", b"", head)


def replaced(header: bytes, value: bytes) -> Rewrite:
    return lambda head: re.sub(rb"(?im)^" + header + rb":.*\r\n", header + b": " + value + b"\r\n", head)


def answering(status: str, body: str = "", *headers: str, at: bytes = b"") -> Callable[[Head], bytes | None]:
    """Answer requests whose first line has `at` in it with this."""

    def answer(head: Head) -> bytes | None:
        if at not in head.split(b"\r\n", 1)[0]:
            return None
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    return answer
