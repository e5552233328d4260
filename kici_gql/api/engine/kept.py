"""Answers that are kept as bytes, for as long as the position they were read at is the newest one.

Only documents whose every field is known to depend on the org's log alone are kept: a field that asks the clock, or
a table whose changes are not logged, is not among the `stable` coordinates, and neither is one that nobody thought of.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import orjson

from kici_gql.api.engine.ports import Viewer
from kici_gql.api.engine.requests import GraphQLRequest

# Reads where the viewer's org stands now, from the database itself; None when the viewer has none.
Position = Callable[[Any], Awaitable[str | None]]


class KeptAnswers:
    """Bounded in bytes; least recently wanted answers go first."""

    def __init__(self, position: Position, stable: Collection[str], *, max_bytes: int = 33_554_432) -> None:
        self._position = position
        self._stable = frozenset(stable)
        self._max_bytes = max_bytes
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self.hits = 0

    def __len__(self) -> int:
        return len(self._answers)

    def may_keep(self, coordinates: Collection[str]) -> bool:
        """Whether an answer with these fields stays true while the position does."""
        return self._stable.issuperset(coordinates)

    async def tag(self, request: GraphQLRequest, viewer: Viewer) -> str | None:
        """A name for the answer that the request has now: same document, variables, rights and position, same name.

        It has to be asked for before the data is read: data that is newer than its name is never found by it. None for
        an answer that can't be kept.
        """
        position = await self._position(viewer)
        if position is None:
            return None
        parts = [request.query, request.operation_name, request.variables, repr(viewer.rights_key), position]
        try:
            return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
        except (
            TypeError
        ):  # variables that are nested too deeply; if the operation has no such ones, they don't matter
            return None

    def get(self, tag: str) -> bytes | None:
        answer = self._answers.get(tag)
        if answer is not None:
            self._answers.move_to_end(tag)
            self.hits += 1
        return answer

    def keep(self, tag: str, answer: bytes) -> None:
        if tag in self._answers or len(answer) > self._max_bytes // 4:
            return
        # A copy: what orjson encodes keeps the buffer it was encoded in, which is up to twice as large.
        self._answers[tag] = bytes(memoryview(answer))
        self._bytes += len(answer)
        while self._bytes > self._max_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)
