"""The shared memory of encoded lists: each is made once, counts each time, and there are never too many."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from kici_gql.api.engine.compiled.running import EncodedLists
from kici_gql.api.engine.ports import Unchanging


class Spent(Exception): ...


def run_with(left: int) -> Any:
    return SimpleNamespace(left=left, spent=Spent)


def complete(item: str, run: Any) -> str:
    run.left -= 1
    return item.upper()


def test_a_list_is_completed_once_and_counted_each_time() -> None:
    lists, items, asked = EncodedLists(), Unchanging(["a", "b"]), list[str]()

    def noting(item: str, run: Any) -> str:
        asked.append(item)
        return complete(item, run)

    for _ in range(3):
        run = run_with(10)
        assert orjson.dumps(lists.shown(items, noting, run)) == b'["A","B"]'
        assert run.left == 8
    assert asked == ["a", "b"]
    with pytest.raises(Spent):
        lists.shown(items, noting, run_with(1))


def test_what_was_shown_longest_ago_goes_first_and_the_bytes_stay_bounded() -> None:
    lists = EncodedLists(max_bytes=20_000)
    kept = [Unchanging([str(number) * 1000]) for number in range(40)]
    for items in kept:
        lists.shown(kept[0], complete, run_with(1))
        lists.shown(items, complete, run_with(1))
        assert lists.bytes <= 20_000
    assert 5 < len(lists) < 20
    before = len(lists), lists.bytes
    lists.shown(kept[0], complete, run_with(1))
    assert (len(lists), lists.bytes) == before, "the one that is always shown is still there"


def test_one_list_alone_may_be_too_large_to_be_kept() -> None:
    lists = EncodedLists(max_bytes=1_000)
    items = Unchanging(["a" * 2_000])
    assert orjson.dumps(lists.shown(items, complete, run_with(1))) == orjson.dumps(["A" * 2_000])
    assert (len(lists), lists.bytes) == (0, 0)
