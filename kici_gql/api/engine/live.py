"""What a subscription resolver returns: a view of a log and the place to start behind."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Frame(Protocol):
    """One message of a stream; the concrete class is a Strawberry type."""

    @property
    def cursor(self) -> str:
        """The position the reader stands at after this frame."""

    @property
    def previous_cursor(self) -> str | None:
        """The position of the frame before it in the same view; None opens a stream."""


F = TypeVar("F", bound=Frame)


class View(ABC, Generic[F]):
    """One filtered view of one org's log.

    `key` names org, stream, filters and whatever rights shape the result: two views with equal keys
    give equal frames, and their readers are served together.
    """

    key: Hashable

    @abstractmethod
    async def first(self, after: str | None) -> F | str:
        """The SNAPSHOT or RESYNC frame that opens a stream, or the cursor to go on behind when `after` is good."""

    @abstractmethod
    async def next(self, cursor: str) -> F:
        """Wait until something lies behind `cursor` and answer the next frame: EVENTS, BOOKMARK or RESYNC."""


class Presence(Protocol):
    """What a reader tells of itself by reading: that it is there, for as long as its connection is open."""

    @property
    def subject(self) -> Hashable:
        """Who is there. Of several presences of one subject over one connection the last one counts."""

    def begin(self) -> Callable[[str | None], None]:
        """The connection is open. When it has ended, call the answer.

        With the reason if the reader has left by it, with None if it was us who ended it.
        """

    async def tell(self) -> None:
        """Make it known, as each stream begins."""


LEFT = "the connection ended without a goodbye"
LEFT_BY = {"revoked": "its token was revoked", "expired": "its token has expired"}
"""Why a reader has left, where the end of its token did it."""


@dataclass(frozen=True, slots=True)
class Live(Generic[F]):
    """A subscription that has not begun: the engine shares it, any other executor can iterate over it."""

    view: View[F]
    after: str | None = None
    presence: Presence | None = None

    def __aiter__(self) -> AsyncIterator[F]:
        return self._frames()

    async def _frames(self) -> AsyncGenerator[F, None]:
        first = await self.view.first(self.after)
        if isinstance(first, str):
            cursor = first
        else:
            yield first
            cursor = first.cursor
        while True:
            frame = await self.view.next(cursor)
            yield frame
            cursor = frame.cursor
