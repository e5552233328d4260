"""One piece of work that many wait for."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Shared(Generic[K, T]):
    """Runs `work` once for all who ask for its result; the last one who stops waiting cancels it.

    It stands in `registry` under `key` for as long as newcomers may join. A waiter that is cancelled takes
    nobody with it. `work` must answer its failures as values: one exception raised in a thousand waiters
    would grow a thousand tracebacks.
    """

    __slots__ = ("_key", "_registry", "_task", "_waiting", "begun")

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        registry: "dict[K, Shared[K, T]]",
        key: K,
        behind: "Shared[K, T] | None" = None,
    ) -> None:
        """Begin as soon as `behind` has ended, however that was."""
        self.begun = False
        self._waiting = 0
        self._registry = registry
        self._key = key
        registry[key] = self
        self._task = asyncio.create_task(self._run(work, behind))
        # The first callback of all, so that it has run before any waiter wakes up and asks again.
        self._task.add_done_callback(self._close)

    async def result(self) -> T:
        """Wait with all the others."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._close()  # nobody may join work that is about to die
                self._task.cancel()

    async def ended(self) -> None:
        """Wait until the work has ended, without having a part in it."""
        await asyncio.wait([self._task])

    async def _run(self, work: Callable[[], Coroutine[Any, Any, T]], behind: "Shared[K, T] | None") -> T:
        if behind is not None:
            await behind.ended()
        self.begun = True
        return await work()

    def _close(self, _: object = None) -> None:
        if self._registry.get(self._key) is self:
            del self._registry[self._key]
