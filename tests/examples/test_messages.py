import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import messages
from orchestrator.messages import BadMessage, Beat, Declined, Hello, Pace, Stop, UnknownMessage

HELLO = Hello("a-1", 42, "0.1.0", "box", "me", "linux", "x64", 8, 16000, 1)

texts = st.text()
numbers = st.integers(min_value=0, max_value=2**40)
beats = st.builds(Beat, numbers, numbers, numbers, st.booleans())
hellos = st.builds(Hello, texts, numbers, texts, texts, texts, texts, texts, numbers, numbers, numbers)


@given(st.one_of(beats, hellos, st.builds(Declined, texts, texts)))
def test_what_an_agent_says_arrives_as_it_was_said(message: Hello | Beat | Declined) -> None:
    line = messages.encode(message)
    assert line.count(b"\n") == 1
    assert messages.decode_from_agent(line) == message


@given(st.one_of(st.builds(Pace, st.floats(0.01, 1e6)), st.builds(Stop, texts)))
def test_what_the_orchestrator_says_arrives_as_it_was_said(message: Pace | Stop) -> None:
    assert messages.decode_for_agent(messages.encode(message)) == message


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"nonsense", b"[]", b"1", b"null", b"{}", b'{"type": 1}', b"\xff\xfe"]
)
def test_a_line_that_is_no_message_is_bad(line: bytes) -> None:
    with pytest.raises(BadMessage):
        messages.decode_from_agent(line)


def test_each_side_accepts_only_what_the_other_may_say() -> None:
    with pytest.raises(UnknownMessage):
        messages.decode_for_agent(messages.encode(HELLO))
    with pytest.raises(UnknownMessage):
        messages.decode_from_agent(messages.encode(Stop("x")))


@pytest.mark.parametrize(
    "wrong", [{"active_jobs": True}, {"active_jobs": "1"}, {"uptime_seconds": None}, {"paused": 0}]
)
def test_wrong_types_are_refused_by_name(wrong: dict[str, object]) -> None:
    values = json.loads(messages.encode(Beat(1, 2, 0, False))) | wrong
    with pytest.raises(BadMessage, match=next(iter(wrong))):
        messages.decode_from_agent(json.dumps(values).encode())


def test_fields_of_a_newer_side_are_ignored_and_missing_ones_are_not() -> None:
    values = json.loads(messages.encode(Pace(2.0)))
    assert messages.decode_for_agent(json.dumps(values | {"new": 1}).encode()) == Pace(2.0)
    del values["interval_seconds"]
    with pytest.raises(BadMessage):
        messages.decode_for_agent(json.dumps(values).encode())
