"""The newest entries of a log, alone."""

from kici_gql.events import Entry, Event, EventType, Topic, encode_events
from kici_gql.feed.tail import DECODED_ENTRIES, Tail


def entry(seq: int) -> Entry:
    body = encode_events([Event(EventType.AGENT_BEAT, {"id": f"agt_{seq}"})])
    return Entry("org_1", seq, seq, Topic.HEARTBEATS, "2026-01-31T12:00:00.000000Z", body)


def test_only_the_newest_entries_stay_decoded_and_the_others_can_be_read_again() -> None:
    tail = Tail("00000000", 0, 10_000)
    for seq in range(1, 501):
        assert tail.extend(entry(seq))
        found = tail.after(seq - 1, {Topic.HEARTBEATS}, 10)
        assert found is not None
        assert [each.events[0].data["id"] for each in found[0]] == [f"agt_{seq}"]
    whole = tail.after(0, {Topic.HEARTBEATS}, 10_000)
    assert whole is not None
    decoded = [each.seq for each in whole[0] if "events" in vars(each)]
    assert decoded == list(range(501 - DECODED_ENTRIES, 501))
    assert [each.events[0].data["id"] for each in whole[0]] == [f"agt_{seq}" for seq in range(1, 501)]
