import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kici_gql.events import Cursor, Entry, Event, EventType, Topic, encode_events

EPOCHS = st.text("0123456789abcdef", min_size=8, max_size=8)
SEQS = st.integers(0, 10**18 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)
DATA = st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4)
EVENTS = st.lists(st.builds(Event, st.sampled_from(EventType), DATA, st.none() | DATA), max_size=5)


@given(EPOCHS, SEQS)
def test_a_printed_cursor_reads_back(epoch: str, seq: int) -> None:
    cursor = Cursor(epoch, seq)
    assert Cursor.parse(str(cursor)) == cursor
    assert str(cursor).replace("-", "").replace("_", "").isalnum(), "it fits into an address"


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_reads_as_a_cursor_is_printed_the_same(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    ["", "0", "x", "=", "ä", "\x00", "a" * 100_000]
    + [
        base64.urlsafe_b64encode(plain).rstrip(b"=").decode()
        for plain in (
            b"01234567:",
            b"01234567:-1",
            b"0123456:1",
            b"01234567:" + b"9" * 19,
            b"01234567:1\n",
            b"ABCDEF01:1",
        )
    ]
    + [str(Cursor("01234567", 1)) + "=", str(Cursor("01234567", 1)) + "A", " " + str(Cursor("01234567", 1))],
)
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)


@given(EVENTS)
def test_stored_events_read_back(events: list[Event]) -> None:
    entry = Entry("org_1", 1, len(events), Topic.ALERTS, "", encode_events(events))
    assert list(entry.events) == [Event(event.type, event.whole) for event in events]
    assert orjson.loads(entry.body) is not None


def test_an_entry_asks_who_told_it_until_it_forgets() -> None:
    told = Event(EventType.AGENT_BEAT, {"memory_used_mb": 7}, {"id": "agt_1"})
    entry = Entry("org_1", 1, 1, Topic.HEARTBEATS, "", encode_events([told]), lambda: [told])
    assert entry.events[0] is told
    entry.forget_events()
    assert entry.events == [Event(EventType.AGENT_BEAT, {"id": "agt_1", "memory_used_mb": 7})]


def test_every_type_has_a_topic() -> None:
    assert {type_.topic for type_ in EventType} == set(Topic)
