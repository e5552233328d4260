"""An orchestrator at the other end of a real socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed

from tests.relay.recorded import AUTH, REGISTER, USUAL_ANSWERS, Frame

SECONDS = 60.0


class WireOrchestrator:
    """It answers what it is asked with `answers`; a type with the answer None is never answered."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.answers: dict[str, Frame | None] = dict(USUAL_ANSWERS)
        self.received: list[Frame] = []
        self.socket = socket
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def introduce(self, token: str, **register: Any) -> None:
        """Answers when it has been acknowledged, or turned away."""
        await self.say(AUTH | {"token": token})
        await self.say(REGISTER | register)
        await self.until(lambda: self._reader.done() or bool(self.asked("source.register.ack")))

    async def say(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def asked(self, type_: str) -> list[Frame]:
        return [frame for frame in self.received if frame["type"] == type_]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(true)

    async def closed(self) -> int | None:
        """The code that the server closes with."""
        async with asyncio.timeout(SECONDS):
            await self._reader
        return self.socket.close_code

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = json.loads(await self.socket.recv())
                self.received.append(frame)
                answer = self.answers.get(frame["type"])
                if "actor" in frame and answer is not None:
                    await self.say(answer | {"requestId": frame["requestId"]})
                async with self._news:
                    self._news.notify_all()
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def dialled(url: str) -> AsyncIterator[WireOrchestrator]:
    """A socket on which nothing has been said yet."""
    socket = await websockets.connect(url, compression=None, proxy=None, open_timeout=SECONDS, max_size=None)
    async with socket:
        yield WireOrchestrator(socket)


@asynccontextmanager
async def connected(url: str, token: str, **register: Any) -> AsyncIterator[WireOrchestrator]:
    """An orchestrator that has been acknowledged."""
    async with dialled(url) as orchestrator:
        await orchestrator.introduce(token, **register)
        yield orchestrator
