from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.lines import (
    BATCH_LINES,
    MAX_LINE_CHARACTERS,
    MAX_WIRE_BYTES,
    LineCutter,
    batches,
    pieces,
    wire_bytes,
)


def cut(*data: bytes) -> list[str]:
    cutter = LineCutter()
    return [*(line for each in data for line in cutter.feed(each)), *cutter.end()]


def test_lines_are_cut_at_their_ends() -> None:
    assert cut(b"one\ntwo\r\nthr", b"ee\n\nlast") == ["one", "two", "three", "", "last"]
    assert cut(b"progress 1\rprogress 2\r\n") == ["progress 1\rprogress 2"]
    assert cut(b"") == cut() == []


def test_characters_may_come_in_pieces_and_may_be_none() -> None:
    assert cut(b"gr\xc3", b"\xbc\xc3\x9fe\n") == ["grüße"]
    assert cut(b"\xff\xfe\n\xc3") == ["\ufffd\ufffd", "\ufffd"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))), st.integers(1, 7))
def test_it_does_not_matter_how_it_comes(lines: list[str], size: int) -> None:
    data = "".join(line + "\n" for line in lines).encode()
    assert cut(*(data[start : start + size] for start in range(0, len(data), size))) == lines


def test_a_long_line_becomes_several_and_memory_stays_bounded() -> None:
    cutter = LineCutter()
    lines = []
    for number in range(1, 41):
        lines += cutter.feed(b"x" * 5000)
        assert number * 5000 - sum(map(len, lines)) <= MAX_LINE_CHARACTERS
    lines += cutter.end()
    assert [len(line) for line in lines] == [65536, 65536, 65536, 200_000 - 3 * 65536]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["x", "ü", "\x1b", "😀", '"']), st.integers(0, 200_000))
def test_no_line_is_too_long_for_a_message(character: str, length: int) -> None:
    found = pieces(character * length)
    assert "".join(found) == character * length
    assert all(len(each) <= MAX_LINE_CHARACTERS and wire_bytes([each]) <= MAX_WIRE_BYTES for each in found)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["", "short", "x" * 60_000, "ü" * 10_000]), max_size=30))
def test_no_batch_is_too_large(lines: list[str]) -> None:
    found = batches(lines)
    assert [line for batch in found for line in batch] == lines
    assert all(batch and wire_bytes(batch) <= MAX_WIRE_BYTES for batch in found)
    assert [len(batch) for batch in batches(["x"] * 450)] == [BATCH_LINES, BATCH_LINES, 50]
