from orchestrator.backoff import Backoff


def test_waits_double_up_to_the_most_and_are_spread() -> None:
    backoff = Backoff(first_seconds=1.0, most_seconds=8.0)
    for whole in [1, 2, 4, 8, 8, 8]:
        assert whole / 2 <= backoff.next_seconds() <= whole
    assert len({backoff.next_seconds() for _ in range(20)}) > 1


def test_success_starts_from_the_beginning() -> None:
    backoff = Backoff(first_seconds=1.0, most_seconds=100.0)
    for _ in range(5):
        backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() <= 1.0


def test_a_long_night_overflows_nothing() -> None:
    backoff = Backoff(first_seconds=1.0, most_seconds=15.0)
    backoff.tries = 100_000
    assert backoff.next_seconds() <= 15.0
