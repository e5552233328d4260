"""Promises that are made in seconds, held against the clock of a machine that may be busy with others."""

from collections.abc import Awaitable, Callable

_TIMES = 5


async def kept(promised: float, attempt: Callable[[], Awaitable[float]]) -> bool:
    """Whether one attempt in a few takes no longer than was promised: others make things slower, and never quicker."""
    for _ in range(_TIMES):
        if await attempt() <= promised:
            return True
    return False
