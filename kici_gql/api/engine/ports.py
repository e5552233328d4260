"""What the engine and the transports need from the rest of the program, and nothing more."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol


class Viewer(Protocol):
    """Who asks. The engine looks at nothing but these two."""

    @property
    def token_id(self) -> str:
        """Stable id of the token; quotas are counted by it."""

    @property
    def rights_key(self) -> Hashable:
        """Equal for two viewers exactly when they may see the same; only such two ever share a frame."""


class Authenticator(Protocol):
    async def authenticate(self, secret: str | None, /) -> Viewer:
        """Who holds this token; raises `errors.Unauthenticated` when nobody does."""

    def on_end(self, viewer: Any, callback: Callable[[str], None], /) -> Callable[[], None]:
        """Call `callback("revoked")` or `callback("expired")` on the loop when the viewer's token ends.

        Answers a function that forgets the callback again.
        """


# Metadata of a field whose resolver is slow, or does something outside: it runs once for each operation. Generated code
# is not made for such an operation, because what it can't finish is executed again from the start.
RUNS_ONCE = {"runs_once": True}


class Unchanging(tuple[Any, ...]):
    """A list that is handed out again, the very same object, as long as what it holds is true.

    What an operation shows of it is encoded once, where the items alone decide it.
    """

    __slots__ = ()


# Metadata of a field whose resolver is no coroutine function, but may answer a coroutine where it has to wait.
AT_ONCE = {"at_once": True}

# Metadata of a field without arguments whose resolver answers one of a few values that nobody ever changes, the very same
# object each time. What an operation shows of such a value is made once, and used again by everybody.
LASTING = {"lasting": True}

# (viewer, request id) -> the `info.context` of one operation or of one frame. A fresh one each time,
# because a data loader that outlives its frame answers with yesterday's rows.
MakeContext = Callable[[Any, str], object]
