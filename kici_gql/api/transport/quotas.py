"""How much of something one key may hold at a time."""

from collections import Counter
from collections.abc import Callable, Hashable

from kici_gql.errors import LimitExceeded


class Quota:
    """At most `limit` holders per key; `name` is the setting that says so."""

    def __init__(self, name: str, limit: int, what: str) -> None:
        self._name = name
        self._limit = limit
        self._what = what
        self._held: Counter[Hashable] = Counter()

    def held(self, key: Hashable = None) -> int:
        return self._held[key]

    def take(self, key: Hashable = None) -> Callable[[], None]:
        """Hold one more; answers how to give it back. Raises LimitExceeded, naming the limit."""
        if self._held[key] >= self._limit:
            raise LimitExceeded(
                f"Too many {self._what}: the limit is {self._name}={self._limit}.",
                hint=f"Close some first, or raise KICI_GQL_{self._name.upper()}.",
                passing=True,
            )
        self._held[key] += 1
        return _Place(self._held, key)


class _Place:
    """One place that is held. A call gives it back, once; an object, for as a function it takes four times the memory."""

    __slots__ = ("_held", "_key")

    def __init__(self, held: Counter[Hashable], key: Hashable) -> None:
        self._held: Counter[Hashable] | None = held
        self._key = key

    def __call__(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        held[self._key] -= 1
        if not held[self._key]:
            del held[self._key]


class TokenBucket:
    """`burst` at once, then `per_second` in the long run; the caller brings the time (seconds, monotonic)."""

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one if there is one."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
