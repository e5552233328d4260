from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kici_gql.rules import merging
from kici_gql.tables import JobStatus, RunStatus, StepStatus
from tests.running import moment

# Two spellings of the same moments, so that a tie can't hang on how a time was written.
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-7))])
TIMES = st.builds(lambda seconds, zone: moment(seconds).astimezone(zone), st.integers(0, 3), ZONES)


def reports(kind: type[Any]) -> st.SearchStrategy[list[tuple[int, dict[str, Any]]]]:
    told = st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(kind),
            "branch": st.sampled_from(["main", "next"]),
            "started_at": TIMES,
            "duration_ms": st.sampled_from([9, 10, 100]),
            "runs_on": st.lists(st.sampled_from("ab"), max_size=2),
            "silent": st.none(),
        },
    )
    return st.lists(st.tuples(st.integers(0, 4), told), max_size=6)


def merged(told: list[tuple[int, dict[str, Any]]]) -> Mapping[str, Any]:
    known: dict[str, Any] = {"stamps": {}}
    for at, columns in told:
        known |= merging.merge(known, known["stamps"], columns, at)
    return known


@given(st.data(), st.sampled_from([RunStatus, JobStatus, StepStatus]))
def test_neither_order_nor_repeats_matter(data: st.DataObject, kind: type[Any]) -> None:
    told = data.draw(reports(kind))
    again = data.draw(st.lists(st.sampled_from(told), max_size=4)) if told else []
    other = data.draw(st.permutations([*told, *again]))
    assert merged(told) == merged(other)


@given(reports(RunStatus))
def test_a_status_never_goes_back(told: list[tuple[int, dict[str, Any]]]) -> None:
    known: dict[str, Any] = {"stamps": {}}
    for at, columns in told:
        before = known.get("status")
        known |= merging.merge(known, known["stamps"], columns, at)
        if before is not None:
            assert merging.rank(known["status"]) >= merging.rank(before)


GROWING = st.lists(st.tuples(st.sampled_from(RunStatus), st.integers(0, 1)), max_size=6)


@given(GROWING, st.data())
def test_an_end_that_more_jobs_came_after_was_none(
    steps: list[tuple[RunStatus, int]], data: st.DataObject
) -> None:
    """However reports of a run that gets more and more jobs arrive."""
    told: list[tuple[int, dict[str, Any], int]] = []
    jobs = 1
    for at, (status, more) in enumerate(steps):
        jobs += more
        told.append((at, {"status": status, "duration_ms": at if merging.is_final(status) else None}, jobs))

    def grown(reports: list[tuple[int, dict[str, Any], int]]) -> dict[str, Any]:
        known: dict[str, Any] = {"stamps": {}}
        for at, columns, jobs in reports:
            known |= merging.merge(known, known["stamps"], columns, at, jobs)
        return {name: value for name, value in known.items() if value is not None}

    state = grown(data.draw(st.permutations(told)))
    assert state == grown(told)
    if told:
        last = max(jobs for _, _, jobs in told)
        ranks = [merging.rank(columns["status"]) for _, columns, jobs in told if jobs == last]
        assert merging.rank(state["status"]) == max(ranks)
        assert merging.is_final(state["status"]) == (state.get("duration_ms") is not None)


def test_an_end_outlives_an_earlier_word_of_more_jobs() -> None:
    """A placeholder may give way to fewer jobs than were counted with it."""
    known = merging.merge({}, {}, {"status": RunStatus.RUNNING}, 5, 3)
    assert merging.merge(known, known["stamps"], {"status": RunStatus.SUCCESS}, 6, 2)["status"] == "SUCCESS"


def test_what_a_report_is_silent_about_stays() -> None:
    known = {"branch": "main", "status": RunStatus.RUNNING}
    assert merging.merge(known, {"branch": 5, "status": 5}, {"branch": None, "status": None}, 9) == {}


def test_a_status_that_only_the_server_spoke_of_gives_way() -> None:
    changes = merging.merge({"status": StepStatus.FAILED}, {}, {"status": StepStatus.RUNNING}, 1)
    assert changes == {"status": StepStatus.RUNNING, "stamps": {"status": 1}}


def test_repeating_a_report_changes_nothing() -> None:
    told = {"status": RunStatus.SUCCESS, "branch": "main"}
    first = merging.merge({}, {}, told, 5)
    assert merging.merge(first, first["stamps"], told, 5) == {}


def test_final_statuses() -> None:
    assert {each for each in RunStatus if merging.is_final(each)} == {"SUCCESS", "FAILED", "CANCELLED"}
    assert {each for each in StepStatus if not merging.is_final(each)} == {"PENDING", "RUNNING"}
    assert {each for each in JobStatus if not merging.is_final(each)} == {
        "PENDING",
        "QUEUED",
        "RUNNING",
        "RECOVERING",
        "CANCELLING",
    }


def test_times_before_1970_count_as_the_earliest() -> None:
    assert merging.millis(datetime(1950, 1, 1, tzinfo=UTC)) == 0
