"""A network that drops, delays and cuts; it never changes, doubles or reorders a byte."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK = 16_384


class Proxy:
    """TCP to one port of this machine; `calm` ends all mischief."""

    def __init__(self, target: int, rng: random.Random) -> None:
        self.port = 0
        self.calm = False
        self.cuts = 0
        self._target = target
        self._rng = rng

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it or it is cut."""
        if not self.calm and self._rng.random() < 0.1:
            self._cut(writer)
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.create_task(self._pump(reader, back, self._budget())),
            asyncio.create_task(self._pump(there, writer, self._budget())),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for side in (writer, back):
                side.transport.abort()

    def _budget(self) -> float:
        """Bytes until the cut: anywhere in a handshake, in a frame, or after many frames."""
        return self._rng.choice([self._rng.randrange(2000), self._rng.expovariate(1 / 60_000)])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: float) -> None:
        while data := await reader.read(_CHUNK):
            if not self.calm:
                await asyncio.sleep(self._rng.choice([0, 0, 0, 0.002, 0.02, 0.2]))
            if not self.calm and len(data) > budget:
                writer.write(data[: int(budget)])
                await writer.drain()
                self.cuts += 1
                return
            budget -= len(data)
            writer.write(data)
            await writer.drain()

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        self.cuts += 1
        writer.transport.abort()


@asynccontextmanager
async def between(target: int, rng: random.Random) -> AsyncIterator[Proxy]:
    """A proxy in front of a port."""
    proxy = Proxy(target, rng)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
