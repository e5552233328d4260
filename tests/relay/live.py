"""A process with `/ws`, and an orchestrator at the other end of it, without sockets: two queues of ASGI messages."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from kici_gql.actions.surfaces import Surfaces
from kici_gql.auth import Authenticator
from kici_gql.relay import RelayEndpoint
from kici_gql.relay.messages.codes import Close
from tests.relay.recorded import AUTH, REGISTER, USUAL_ANSWERS, Frame
from tests.world import World, secret_of

TOKEN = secret_of("ORCHESTRATOR")
SECONDS = 60.0


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    """What `true` answers as soon as it answers something."""
    async with asyncio.timeout(SECONDS):
        while not (found := await true()):  # noqa: ASYNC110 - it is a database that is waited for
            await asyncio.sleep(0.01)
    return found


async def one(world: World, model: Any, **equal: Any) -> Any:
    """The first row that is there."""
    return await until(lambda: _first(world, model, equal))


async def _first(world: World, model: Any, equal: dict[str, Any]) -> Any:
    rows = await world.rows(model, **equal)
    return rows[0] if rows else None


class Relay:
    """The endpoint of a world."""

    def __init__(self, world: World, process_id: str = "test") -> None:
        self.world = world
        self.auth = Authenticator(world.store, world.feed.watch)
        self.surfaces = Surfaces(world.store, world.feed)
        self.endpoint = RelayEndpoint(
            world.store, world.feed, world.settings, self.auth, self.surfaces, process_id
        )

    @asynccontextmanager
    async def link(self, **how: Any) -> AsyncIterator["Link"]:
        """An orchestrator that has been introduced."""
        link = Link(self)
        try:
            await link.introduce(**how)
            yield link
        finally:
            await link.hang_up()

    async def close(self) -> None:
        await self.endpoint.drain(SECONDS)


class Link:
    """One socket, held by an orchestrator that answers what it is asked with `answers`."""

    def __init__(self, relay: Relay, **scope: Any) -> None:
        self.answers: dict[str, Frame | None] = dict(USUAL_ANSWERS)
        self.received: list[Frame] = []
        self.closed: tuple[int, str] | None = None
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._news = asyncio.Condition()
        whole = {"type": "websocket", "headers": [], "extensions": {}} | scope
        self._to_server.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(relay.endpoint(whole, self._hear, self._from_server))

    async def introduce(self, token: str = TOKEN, **register: Any) -> None:
        self.say(AUTH | {"token": token})
        self.say(REGISTER | register)
        await self.until(lambda: self.closed is not None or bool(self.asked("source.register.ack")))

    def say(self, frame: Any) -> None:
        self._to_server.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    @property
    def unread(self) -> int:
        """How much of what was said the server has not read yet."""
        return self._to_server.qsize()

    async def hang_up(self, code: int = 1000) -> None:
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": code})
        await asyncio.wait_for(self.task, SECONDS)

    def asked(self, type_: str) -> list[Frame]:
        return [frame for frame in self.received if frame["type"] == type_]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(true)

    async def _hear(self) -> dict[str, Any]:
        message = await self._to_server.get()
        async with self._news:
            self._news.notify_all()
        return message

    async def _from_server(self, message: Any) -> None:
        async with self._news:
            if message["type"] == "websocket.close":
                self.closed = (message["code"], message.get("reason", ""))
                self._to_server.put_nowait({"type": "websocket.disconnect", "code": message["code"]})
            elif message["type"] == "websocket.send":
                frame = json.loads(message["text"])
                self.received.append(frame)
                answer = self.answers.get(frame["type"])
                if "actor" in frame and answer is not None:
                    self.say(answer | {"requestId": frame["requestId"]})
            self._news.notify_all()

    @property
    def code(self) -> Close | None:
        return None if self.closed is None else Close(self.closed[0])
