from datetime import UTC, datetime, timedelta
from itertools import pairwise

from kici_gql.tables import Prefix, new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_ids_sort_in_the_order_they_were_made_in_also_within_a_millisecond() -> None:
    made = [new_id(Prefix.JOB, NOW) for _ in range(5000)]
    made += [new_id(Prefix.JOB, NOW + timedelta(milliseconds=1)) for _ in range(5000)]
    assert made == sorted(set(made))
    assert {len(each) for each in made} == {len("job_") + 32}


def test_an_id_does_not_tell_the_next_one() -> None:
    tails = [int(new_id(Prefix.JOB, NOW)[-20:], 16) for _ in range(100)]
    steps = {later - earlier for earlier, later in pairwise(tails)}
    assert len(steps) == 99
