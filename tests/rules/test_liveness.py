from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kici_gql.rules import liveness
from kici_gql.rules.liveness import Thresholds
from kici_gql.tables import Liveness

BEAT = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG_AGO = BEAT - timedelta(days=1)
LIMITS = Thresholds(timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=180))


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("silence", "state", "missed", "due_after"),
    [
        (-5, Liveness.ONLINE, 0, 60),
        (0, Liveness.ONLINE, 0, 60),
        (29.999, Liveness.ONLINE, 0, 60),
        (30, Liveness.ONLINE, 1, 60),
        (59.999999, Liveness.ONLINE, 1, 60),
        (60, Liveness.LATE, 2, 180),
        (61, Liveness.LATE, 2, 180),
        (179.999999, Liveness.LATE, 5, 180),
        (180, Liveness.LOST, 6, None),
        (86_400, Liveness.LOST, 2880, None),
    ],
)
def test_what_silence_means(silence: float, state: Liveness, missed: int, due_after: float | None) -> None:
    verdict = liveness.judge(BEAT, BEAT + seconds(silence), LONG_AGO, LIMITS)
    assert (verdict.state, verdict.missed_beats) == (state, missed)
    assert verdict.due_at == (None if due_after is None else BEAT + seconds(due_after))
    assert verdict.reason


@pytest.mark.parametrize(
    ("after_start", "state"),
    [(0, Liveness.ONLINE), (59, Liveness.ONLINE), (60, Liveness.LATE), (180, Liveness.LOST)],
)
def test_silence_while_the_server_was_away_does_not_count(after_start: float, state: Liveness) -> None:
    start = BEAT + timedelta(hours=5)
    verdict = liveness.judge(BEAT, start + seconds(after_start), start, LIMITS)
    assert verdict.state is state
    assert verdict.missed_beats == int(after_start // 30)


@given(st.floats(-1e4, 1e6), st.floats(-1e6, 1e4))
def test_whoever_is_judged_again_is_judged_later(silence: float, started: float) -> None:
    now = BEAT + seconds(silence)
    verdict = liveness.judge(BEAT, now, BEAT + seconds(started), LIMITS)
    assert verdict.due_at is None or verdict.due_at > now, "or a sweep would never end"
    assert (verdict.due_at is None) == (verdict.state is Liveness.LOST)


def test_silence_makes_nobody_better() -> None:
    """A server that just started can't know whether somebody who was LATE has come back."""
    start = BEAT + timedelta(hours=5)
    verdict = liveness.judge(BEAT, start + seconds(1), start, LIMITS, Liveness.LATE)
    assert verdict.state is Liveness.LATE
    assert verdict.due_at == start + seconds(60)
    assert liveness.judge(BEAT, start + seconds(180), start, LIMITS, Liveness.LATE).state is Liveness.LOST


def test_a_beat_makes_online() -> None:
    verdict = liveness.alive(BEAT, LIMITS)
    assert (verdict.state, verdict.missed_beats, verdict.due_at) == (Liveness.ONLINE, 0, BEAT + seconds(60))


@pytest.mark.parametrize(
    ("silent", "total", "together"),
    [
        (0, 0, False),
        (2, 2, False),
        (3, 3, True),
        (3, 6, False),
        (4, 6, True),
        (3, 5, True),
        (500, 1000, False),
    ],
)
def test_silent_together(silent: int, total: int, *, together: bool) -> None:
    assert liveness.silent_together(silent, total) is together
