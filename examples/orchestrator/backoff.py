"""How long to wait before the next try."""

import random


class Backoff:
    """Waits that double from ``first_seconds`` up to ``most_seconds``, each drawn from its upper half.

    The draw keeps a thousand orchestrators, cut off by one server restart, from coming back in the same instant;
    the lower bound keeps one of them from hammering.
    """

    def __init__(self, first_seconds: float, most_seconds: float) -> None:
        self.first_seconds = first_seconds
        self.most_seconds = max(first_seconds, most_seconds)
        self.tries = 0

    def next_seconds(self) -> float:
        """The wait before the next try; each call counts as one failed try."""
        # The exponent is capped because 2.0 ** 1024 overflows after a long night.
        whole = min(self.most_seconds, self.first_seconds * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return random.uniform(whole / 2, whole)  # noqa: S311 (spread, not secrecy)

    def reset(self) -> None:
        """It worked: the next failure starts from the beginning."""
        self.tries = 0
