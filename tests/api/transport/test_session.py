"""The protocol without a socket: frames and the time go in, effects come out."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.session import (
    Authenticate,
    Close,
    Effect,
    Send,
    Session,
    Shut,
    Start,
    State,
    Stop,
    complete_message,
    error_message,
    next_message,
)

QUERY = {"query": "{ hello }"}


def ready(**options: Any) -> Session:
    session = Session(TransportOptions(**options), now=0.0)
    assert session.receive('{"type":"connection_init","payload":{"token":"kgq_x"}}', 0.0) == [
        Authenticate({"token": "kgq_x"})
    ]
    assert session.accepted(0.0) == [Send('{"type":"connection_ack"}')]
    return session


def say(session: Session, now: float = 0.0, **message: Any) -> list[Effect]:
    return session.receive(json.dumps(message), now)


def sent(effects: list[Effect]) -> dict[str, Any]:
    (effect,) = effects
    assert isinstance(effect, Send)
    message: dict[str, Any] = orjson.loads(effect.text)
    return message


def shut(effects: list[Effect]) -> tuple[Close, str]:
    (effect,) = effects
    assert isinstance(effect, Shut)
    return effect.code, effect.reason


MALFORMED = [
    "",
    "{",
    "hello",
    "null",
    "1",
    "[]",
    '"x"',
    "{}",
    '{"type":1}',
    '{"type":null}',
    '{"type":"start"}',
    '{"type":"connection_ack"}',
    '{"type":"next","id":"1","payload":{}}',
    '{"type":"ping","payload":[]}',
    '{"type":"pong","payload":"x"}',
    '{"type":"connection_init","payload":"token"}',
    '{"type":"connection_init","payload":[]}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":"1"}',
    '{"type":"subscribe","id":"1","payload":null}',
    '{"type":"subscribe","id":"1","payload":[]}',
    '{"type":"subscribe","id":"1","payload":"{ hello }"}',
    '{"type":"subscribe","id":"1","payload":{}}',
    '{"type":"subscribe","id":"1","payload":{"query":1}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[]}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":1}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":"x"}}',
    '{"type":"subscribe","payload":{"query":"{a}"}}',
    '{"type":"subscribe","id":1,"payload":{"query":"{a}"}}',
    '{"type":"subscribe","id":["1"],"payload":{"query":"{a}"}}',
    '{"type":"subscribe","id":"","payload":{"query":"{a}"}}',
    f'{{"type":"subscribe","id":"{"x" * 257}","payload":{{"query":"{{a}}"}}}}',
    '{"type":"complete"}',
    '{"type":"complete","id":7}',
    '{"type":"ping","payload":' + '{"a":' * 5000 + "1" + "}" * 5001,
    b"\x00\x01",
    b'{"type":"ping"}',
]


@pytest.mark.parametrize("frame", MALFORMED)
def test_what_is_no_message_closes_with_4400_and_says_why(frame: str | bytes) -> None:
    for session in (ready(), Session(TransportOptions(), 0.0)):
        code, reason = shut(session.receive(frame, 0.0))
        assert code == Close.BAD_REQUEST
        assert reason.startswith("Invalid message: ")
        assert len(reason.encode()) <= 123
        assert session.state is State.CLOSED
        assert session.receive('{"type":"ping"}', 0.0) == []


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["subscribe", "complete", "ping", "1"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "id", "payload", "query", "variables", "x"]), inner, max_size=5),
))  # fmt: skip
def test_no_json_whatever_makes_it_raise(value: object) -> None:
    for session in (ready(), Session(TransportOptions(), 0.0)):
        session.receive(json.dumps(value), 0.0)


def test_a_newcomer_who_says_nothing_is_sent_away() -> None:
    session = Session(TransportOptions(init_seconds=5), now=100.0)
    assert session.deadline == 105.0
    assert session.tick(104.9) == []
    assert shut(session.tick(105.0)) == (Close.INIT_TIMEOUT, "Connection initialisation timeout")


def test_an_operation_before_the_acknowledgement_is_unauthorized() -> None:
    session = Session(TransportOptions(), 0.0)
    assert shut(say(session, type="subscribe", id="1", payload=QUERY)) == (Close.UNAUTHORIZED, "Unauthorized")
    session = Session(TransportOptions(), 0.0)
    say(session, type="connection_init")
    assert shut(say(session, type="subscribe", id="1", payload=QUERY))[0] == Close.UNAUTHORIZED


def test_a_second_init_is_one_too_many() -> None:
    assert shut(say(ready(), type="connection_init"))[0] == Close.TOO_MANY_INITS
    session = Session(TransportOptions(), 0.0)
    assert say(session, type="connection_init") == [Authenticate({})]
    assert shut(say(session, type="connection_init"))[0] == Close.TOO_MANY_INITS


def test_a_refused_token_closes_with_the_reason_it_is_given() -> None:
    session = Session(TransportOptions(), 0.0)
    say(session, type="connection_init")
    assert shut(session.rejected(Close.FORBIDDEN, "Forbidden: é" + "x" * 300)) == (
        Close.FORBIDDEN,
        "Forbidden: é" + "x" * 110,
    )


def test_pings_are_answered_with_their_payload_at_any_time() -> None:
    assert sent(say(Session(TransportOptions(), 0.0), type="ping")) == {"type": "pong"}
    assert sent(say(ready(), type="ping", payload={"a": 1})) == {"type": "pong", "payload": {"a": 1}}
    assert say(ready(), type="pong") == []


def test_a_payload_that_can_be_read_and_not_written_closes_with_4400() -> None:
    deep = orjson.loads("[" * 400 + "]" * 400)
    assert shut(say(Session(TransportOptions(), 0.0), type="ping", payload={"a": deep})) == (
        Close.BAD_REQUEST,
        "Invalid message: the payload is nested too deeply",
    )


def test_the_server_pings_in_its_own_rhythm() -> None:
    session = ready(ping_seconds=20)
    assert session.deadline == 20.0
    say(session, 19.0, type="pong")
    assert session.tick(19.9) == []
    assert session.tick(20.5) == [Send('{"type":"ping"}')]
    assert session.deadline == 40.5


def test_an_operation_starts_and_stops() -> None:
    session = ready()
    (start,) = say(
        session, type="subscribe", id="a", payload={**QUERY, "operationName": None, "variables": None}
    )
    assert isinstance(start, Start)
    assert (start.id, start.request.query, start.request.variables) == ("a", "{ hello }", None)
    assert say(session, type="complete", id="a") == [Stop("a")]
    assert say(session, type="complete", id="a") == []
    assert say(session, type="complete", id="never") == []


def test_an_id_is_taken_while_its_operation_runs_and_free_afterwards() -> None:
    session = ready()
    say(session, type="subscribe", id="a", payload=QUERY)
    session.finished("a")
    say(session, type="subscribe", id="a", payload=QUERY)
    say(session, type="complete", id="a")
    assert isinstance(say(session, type="subscribe", id="a", payload=QUERY)[0], Start)
    assert shut(say(session, type="subscribe", id="a", payload=QUERY)) == (
        Close.ID_IN_USE,
        "Subscriber for a already exists",
    )


def test_too_many_operations_are_refused_one_by_one() -> None:
    session = ready(max_subscriptions_per_connection=1)
    say(session, type="subscribe", id="a", payload=QUERY)
    refusal = sent(say(session, type="subscribe", id="b", payload=QUERY))
    assert (refusal["id"], refusal["type"]) == ("b", "error")
    assert "max_subscriptions_per_connection=1" in refusal["payload"][0]["message"]
    assert refusal["payload"][0]["extensions"] == {"code": "LIMIT_EXCEEDED", "retryable": True}
    session.finished("a")
    assert isinstance(say(session, type="subscribe", id="b", payload=QUERY)[0], Start)


def test_who_subscribes_too_often_waits_for_its_bucket_to_fill() -> None:
    session = ready(operations_per_second=2, operations_burst=3)

    def attempt(now: float) -> str:
        (effect,) = say(session, now, type="subscribe", id="a", payload=QUERY)
        session.finished("a")
        return "started" if isinstance(effect, Start) else "refused"

    assert [attempt(0.0) for _ in range(4)] == ["started"] * 3 + ["refused"]
    assert [attempt(0.4), attempt(0.5), attempt(0.6)] == ["refused", "started", "refused"]
    assert [attempt(99.0) for _ in range(4)] == ["started"] * 3 + ["refused"]


@pytest.mark.parametrize(("text", "fits"), [("x" * 100, True), ("é" * 100, False), ("x" * 101, False)])
def test_a_message_is_measured_in_bytes(text: str, fits: bool) -> None:
    envelope = len('{"type":"ping","payload":{"a":""}}')
    session = ready(max_message_bytes=envelope + 100)
    effects = session.receive(f'{{"type":"ping","payload":{{"a":"{text}"}}}}', 0.0)
    if fits:
        assert sent(effects)["type"] == "pong"
    else:
        assert shut(effects) == (
            Close.TOO_BIG,
            f"Message too big: the limit is max_message_bytes={envelope + 100}",
        )


def test_messages_around_an_answer_quote_the_id() -> None:
    id_ = 'a"b\\ü'
    assert orjson.loads(next_message(id_, b'{"data":{"x":1}}')) == {
        "id": id_,
        "type": "next",
        "payload": {"data": {"x": 1}},
    }
    assert orjson.loads(complete_message(id_)) == {"id": id_, "type": "complete"}
    assert orjson.loads(error_message(id_, [{"message": "m"}])) == {
        "id": id_,
        "type": "error",
        "payload": [{"message": "m"}],
    }
