"""A toy log, a toy schema over it and a toy authenticator: no database, all behaviour in sight."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.dataloader import DataLoader

from kici_gql.api.engine.live import Live, View
from kici_gql.errors import InvalidInput, Unauthenticated


@dataclass
class Log:
    """An org's log: numbers, their count is the cursor."""

    values: list[int] = field(default_factory=list)
    padding: str = ""
    executions: int = 0
    waiting: int = 0
    bookmark_seconds: float = 15.0
    presences: list[tuple[str, str | None]] = field(default_factory=list)
    """What happened to those that tell of themselves that they are there: name and `begins`, `told`, or why it left."""
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, *values: int) -> None:
        self.values.extend(values)
        self._moved.set()
        self._moved = asyncio.Event()
        self.waiting = 0

    async def moved(self) -> None:
        self.waiting += 1
        await self._moved.wait()

    async def somebody_waits(self) -> None:
        """Return when a reader has nothing left to read."""
        while not self.waiting:  # noqa: ASYNC110 - the reader gets there within a few turns of the loop
            await asyncio.sleep(0)


@dataclass
class Context:
    """`length` caches, as loaders do: right only if each frame has a new one."""

    viewer: Any
    request_id: str
    log: Log
    length: DataLoader[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.length = DataLoader(self._lengths)

    async def _lengths(self, keys: list[int]) -> list[int]:
        return [len(self.log.values) for _ in keys]


Info = strawberry.Info[Context, None]


@strawberry.type
class Pair:
    a: int
    b: int


@strawberry.type
class Tick:
    kind: str
    cursor: str
    previous_cursor: str | None
    values: list[int]
    padding: str
    log: strawberry.Private[Log]

    @strawberry.field
    def executions(self) -> int:
        self.log.executions += 1
        return self.log.executions

    @strawberry.field
    def broken(self) -> int | None:
        raise ValueError("postgresql://user:password@host")

    @strawberry.field
    def pairs(self) -> list[Pair]:
        return [Pair(a=1, b=2)] * 3

    @strawberry.field
    async def loaded(self, info: Info) -> int:
        return await info.context.length.load(0)


class LogView(View[Tick]):
    def __init__(self, log: Log, modulo: int) -> None:
        self.log = log
        self.modulo = modulo
        self.key: Hashable = ("ticks", modulo)

    def _tick(self, kind: str, start: int, previous: str | None) -> Tick:
        values = [value for value in self.log.values[start:] if value % self.modulo == 0]
        return Tick(
            kind=kind,
            cursor=str(len(self.log.values)),
            previous_cursor=previous,
            values=values,
            padding=self.log.padding,
            log=self.log,
        )

    async def first(self, after: str | None) -> Tick | str:
        if after is None:
            return self._tick("SNAPSHOT", 0, None)
        if not after.isdecimal() or int(after) > len(self.log.values):
            return self._tick("RESYNC", 0, after)
        return after

    async def next(self, cursor: str) -> Tick:
        if self.log.values and self.log.values[-1] == -13:
            raise OSError("the dsn is secret")
        try:
            async with asyncio.timeout(self.log.bookmark_seconds):
                while len(self.log.values) <= int(cursor):
                    await self.log.moved()
        except TimeoutError:
            return self._tick("BOOKMARK", len(self.log.values), cursor)
        return self._tick("EVENTS", int(cursor), cursor)


@dataclass(frozen=True)
class Here:
    """Whoever attends is there."""

    log: Log = field(compare=False)
    subject: str
    name: str

    def begin(self) -> Callable[[str | None], None]:
        self.log.presences.append((self.name, "begins"))
        return lambda reason: self.log.presences.append((self.name, reason))

    async def tell(self) -> None:
        self.log.presences.append((self.name, "told"))


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    async def slow(self, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return 1

    @strawberry.field
    def wide(self, count: int) -> list[Pair]:
        return [Pair(a=1, b=2)] * count

    @strawberry.field
    def who(self, info: Info) -> str:
        return str(info.context.viewer.token_id)

    @strawberry.field
    def secret(self) -> str | None:
        raise ValueError("postgresql://user:password@host")

    @strawberry.field
    def misfit(self) -> int | None:
        return "password"  # type: ignore[return-value]

    @strawberry.field
    def deliberate(self) -> int | None:
        raise GraphQLError("on purpose", extensions={"code": "PURPOSE"})

    @strawberry.field
    def optional(self, n: int = 1) -> int:
        return n

    @strawberry.field
    def known(self) -> str | None:
        raise InvalidInput("name is too long", hint="at most 63 characters", path=("name",))


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, info: Info, value: int) -> int:
        info.context.log.add(value)
        return len(info.context.log.values)

    @strawberry.mutation
    async def add_slowly(self, info: Info, value: int, seconds: float) -> int:
        await asyncio.sleep(seconds)
        info.context.log.add(value)
        return len(info.context.log.values)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(
        self, info: Info, modulo: int = 1, after: str | None = None
    ) -> AsyncGenerator[Tick, None]:
        return Live(LogView(info.context.log, modulo), after)  # type: ignore[return-value]

    @strawberry.subscription
    async def attended(self, info: Info, subject: str, name: str) -> AsyncGenerator[Tick, None]:
        log = info.context.log
        return Live(LogView(log, 1), None, Here(log, subject, name))  # type: ignore[return-value]

    @strawberry.subscription
    async def count(self, upto: int) -> AsyncGenerator[int, None]:
        for number in range(upto):
            yield number

    @strawberry.subscription
    async def breaking(self) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("postgresql://user:password@host")

    @strawberry.subscription
    async def refused(self) -> AsyncGenerator[int, None]:
        raise InvalidInput("no such cluster")


@dataclass(frozen=True)
class Viewer:
    token_id: str
    rights_key: Hashable = "all"


class Doorman:
    """Accepts the tokens it is given; `end` revokes one."""

    def __init__(self) -> None:
        self.tokens = {
            "kgq_alice": Viewer("alice"),
            "kgq_bob": Viewer("bob"),
            "kgq_eve": Viewer("eve", "little"),
        }
        self.watchers: dict[str, list[Callable[[str], None]]] = {}
        self.hang = False

    async def authenticate(self, secret: str | None, /) -> Viewer:
        if self.hang:
            await asyncio.Event().wait()
        if secret not in self.tokens:
            raise Unauthenticated("this token is not valid")
        return self.tokens[secret]

    def on_end(self, viewer: Viewer, callback: Callable[[str], None], /) -> Callable[[], None]:
        watchers = self.watchers.setdefault(viewer.token_id, [])
        watchers.append(callback)
        return lambda: watchers.remove(callback)

    def end(self, token_id: str, reason: str) -> None:
        for callback in list(self.watchers.get(token_id, ())):
            callback(reason)


schema = strawberry.Schema(Query, Mutation, Subscription)
