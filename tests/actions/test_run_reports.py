"""Reports of runs: whatever order they arrive in and however often, they come to the same."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kici_gql.actions import commands
from kici_gql.api.mutations.run_inputs import RunReportInput
from kici_gql.errors import InvalidInput, LimitExceeded, UnknownConnection
from kici_gql.events import EventType
from kici_gql.tables import Job, JobFigures, JobStatus, Run, RunBucket, RunStatus, Step, StepStatus, Workflow
from tests.running import cluster, job_of, moment, run_of, step_of, workflow_of
from tests.world import World

_number = count()
TIMES = st.none() | st.integers(0, 900).map(moment)

STEPS = st.builds(
    step_of,
    st.integers(-1, 1),
    st.none() | st.sampled_from(StepStatus),
    exit_code=st.none() | st.integers(0, 1),
    name=st.none() | st.sampled_from(["make", "test"]),
    started_at=TIMES,
    completed_at=TIMES,
)
JOBS = st.builds(
    job_of,
    st.sampled_from(["j1", "j2"]),
    st.none() | st.sampled_from(JobStatus),
    agent_id=st.none() | st.sampled_from(["a1", "a2"]),
    steps=st.lists(STEPS, max_size=2, unique_by=lambda step: step.number),
    started_at=TIMES,
    completed_at=TIMES,
)
RUNS = st.builds(
    run_of,
    st.just("?"),
    st.none() | st.sampled_from(RunStatus),
    at=st.integers(0, 3).map(moment),
    branch=st.none() | st.sampled_from(["main", "next"]),
    registration_id=st.none() | st.sampled_from(["w1", "w2"]),
    failure_reason=st.none() | st.sampled_from(["", "because"]),
    queued_at=TIMES,
    started_at=TIMES,
    completed_at=TIMES,
    duration_ms=st.none() | st.sampled_from([5, 50]),
    jobs=st.lists(JOBS, max_size=2, unique_by=lambda job: job.job_id),
)
METRICS = """query ($hours: Int!) { org { executionMetrics(windowHours: $hours) {
  totalRuns succeededRuns failedRuns cancelledRuns averageDurationMs
  series { at runs succeeded failed cancelled averageDurationMs } } } }"""
PASSING = {"id", "run_id", "job_id", "external_id", "revision", "updated_at"}


def plain(row: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name not in PASSING}


async def state_of(world: World, external_id: str) -> Any:
    """All that is known of a run, its jobs and steps, without what counts changes."""
    [run] = await world.rows(Run, external_id=external_id)
    jobs = {row.id: row for row in await world.rows(Job, run_id=run.id)}
    steps = await world.rows(Step, run_id=run.id)
    return (
        plain(run),
        {job.external_id: plain(job) for job in jobs.values()},
        {(jobs[step.job_id].external_id, step.number): plain(step) for step in steps},
    )


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(told=st.lists(RUNS, min_size=1, max_size=5), data=st.data())
async def test_neither_order_nor_repeats_matter(
    any_world: World, told: list[RunReportInput], data: st.DataObject
) -> None:
    home = await cluster(any_world)
    await home.workflows(workflow_of("w1"), workflow_of("w2", name="other"))
    again = data.draw(st.lists(st.sampled_from(told), max_size=3))
    other = data.draw(st.permutations([*told, *again]))
    one, two = f"r{next(_number)}", f"r{next(_number)}"
    for each in told:
        await home.report(replace(each, run_id=one))
    for each in other:
        await home.report(replace(each, run_id=two))
    assert await state_of(any_world, one) == await state_of(any_world, two)
    await figures_are_right(any_world)


async def figures_are_right(world: World) -> None:
    """The kept figures equal those that counting from the beginning gives."""
    counted: dict[datetime, list[int]] = {}
    for run in await world.rows(Run):
        start = run.queued_at.replace(minute=run.queued_at.minute // 5 * 5, second=0, microsecond=0)
        of = counted.setdefault(start, [0] * 6)
        timed = run.status in {"SUCCESS", "FAILED"} and run.duration_ms is not None
        found = (1, run.status == "SUCCESS", run.status == "FAILED", run.status == "CANCELLED", timed)
        counted[start] = [a + b for a, b in zip(of, [*found, run.duration_ms if timed else 0], strict=True)]
    kept = {
        row.start: [row.runs, row.succeeded, row.failed, row.cancelled, row.timed, row.duration_ms]
        for row in await world.rows(RunBucket)
    }
    assert {start: figures for start, figures in kept.items() if any(figures)} == counted
    await answers_are_right(world, counted)
    active = {row.id for row in await world.rows(Run) if row.status not in {"SUCCESS", "FAILED", "CANCELLED"}}
    jobs = [row.status for row in await world.rows(Job) if row.run_id in active]
    [figures] = await world.rows(JobFigures) or [JobFigures(org_id="", queued=0, running=0)]
    assert figures.queued == sum(status in {"PENDING", "QUEUED"} for status in jobs)
    assert figures.running == sum(status in {"RUNNING", "RECOVERING", "CANCELLING"} for status in jobs)


async def test_repeating_a_report_is_silent(any_world: World) -> None:
    home = await cluster(any_world)
    told = run_of(
        status=RunStatus.RUNNING,
        at=moment(1),
        started_at=moment(0),
        jobs=[job_of(status=JobStatus.SUCCESS, steps=[step_of(status=StepStatus.SUCCESS)])],
    )
    await home.report(told)
    before = await any_world.head()
    state = await state_of(any_world, "r1")
    await home.report(told)
    assert await any_world.head() == before
    await home.report(
        replace(told, at=moment(9))
    )  # the same, said again later: nothing that a user would notice
    assert await any_world.head() == before
    assert (await state_of(any_world, "r1"))[0]["status"] == state[0]["status"]


async def test_steps_end_with_their_job_and_a_late_word_of_their_own_counts(any_world: World) -> None:
    home = await cluster(any_world)
    steps = [step_of(0, StepStatus.SUCCESS), step_of(1, StepStatus.RUNNING), step_of(2)]
    await home.report(run_of(at=moment(1), jobs=[job_of(status=JobStatus.RUNNING, steps=steps)]))
    await home.report(run_of(at=moment(9), jobs=[job_of(status=JobStatus.FAILED)]))

    async def statuses() -> list[str]:
        return [str(row.status) for row in sorted(await any_world.rows(Step), key=lambda row: row.number)]

    assert await statuses() == ["SUCCESS", "FAILED", "FAILED"]
    await home.report(run_of(at=moment(2), jobs=[job_of(steps=[step_of(2, StepStatus.RUNNING)])]))
    assert await statuses() == ["SUCCESS", "FAILED", "FAILED"]
    await home.report(run_of(at=moment(3), jobs=[job_of(steps=[step_of(2, StepStatus.SKIPPED)])]))
    assert await statuses() == ["SUCCESS", "FAILED", "SKIPPED"]
    await home.report(run_of(at=moment(10), jobs=[job_of(status=JobStatus.CANCELLED)]))
    assert await statuses() == ["SUCCESS", "CANCELLED", "SKIPPED"]


async def test_a_step_that_ends_with_its_job_ends_when_it_does(any_world: World) -> None:
    home = await cluster(any_world)
    steps = [step_of(0, StepStatus.RUNNING, started_at=moment(1)), step_of(1, StepStatus.SKIPPED)]
    await home.report(run_of(at=moment(1), jobs=[job_of(status=JobStatus.RUNNING, steps=steps)]))
    await home.report(run_of(at=moment(9), jobs=[job_of(status=JobStatus.FAILED, completed_at=moment(4))]))
    [one, two] = sorted(await any_world.rows(Step), key=lambda row: row.number)
    assert (one.completed_at, one.duration_ms) == (moment(4), 3000)
    assert two.completed_at is None
    late = [step_of(0, StepStatus.SUCCESS, completed_at=moment(3))]
    await home.report(run_of(at=moment(2), jobs=[job_of(steps=late)]))
    [one, _] = sorted(await any_world.rows(Step), key=lambda row: row.number)
    assert (one.status, one.completed_at, one.duration_ms) == (StepStatus.SUCCESS, moment(3), 2000)


async def test_a_run_goes_on_when_its_first_job_was_only_the_build(any_world: World) -> None:
    """So says KiCI 0.1.24 of a workflow that it must build before it knows its jobs."""
    home = await cluster(any_world)
    build = job_of("build", JobStatus.SUCCESS)
    end: dict[str, Any] = {"completed_at": moment(3), "duration_ms": 3000}
    await home.report(run_of(status=RunStatus.RUNNING, at=moment(1), job_count=1, started_at=moment(0)))
    await home.report(run_of(status=RunStatus.SUCCESS, at=moment(3), job_count=1, jobs=[build], **end))
    await figures_are_right(any_world)
    more = [build, job_of("test", JobStatus.PENDING)]
    await home.report(run_of(status=RunStatus.RUNNING, at=moment(3.03), job_count=2, jobs=more))
    [run] = await any_world.rows(Run)
    assert (run.status, run.completed_at, run.duration_ms) == (RunStatus.RUNNING, None, None)
    await figures_are_right(any_world)
    end = {"completed_at": moment(9), "duration_ms": 9000}
    await home.report(run_of(status=RunStatus.SUCCESS, at=moment(9), job_count=2, **end))
    [run] = await any_world.rows(Run)
    assert (run.status, run.completed_at, run.duration_ms) == (RunStatus.SUCCESS, moment(9), 9000)
    await figures_are_right(any_world)


async def test_jobs_of_a_run_that_ended_do_not_wait(any_world: World) -> None:
    """A cancelled run's orchestrator never says what became of the jobs that it had not begun."""
    home = await cluster(any_world)
    jobs = [job_of("one", JobStatus.QUEUED), job_of("two", JobStatus.RUNNING)]
    await home.report(run_of(status=RunStatus.RUNNING, at=moment(1), jobs=jobs))
    [figures] = await any_world.rows(JobFigures)
    assert (figures.queued, figures.running) == (1, 1)
    await home.report(run_of(status=RunStatus.CANCELLED, at=moment(2)))
    await home.report(run_of(at=moment(3), jobs=[job_of("three", JobStatus.QUEUED)]))
    [figures] = await any_world.rows(JobFigures)
    assert (figures.queued, figures.running) == (0, 0)


async def answers_are_right(world: World, counted: Mapping[datetime, Sequence[int]]) -> None:
    """What is answered about a window of any length equals what counting its runs gives, hour by hour."""
    for window in (1, 30, 744):
        since = world.clock() - timedelta(hours=window, minutes=5)
        of_hour: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 6)
        for start, figures in counted.items():
            if start > since:
                hour = start.replace(minute=0).isoformat()
                of_hour[hour] = [a + b for a, b in zip(of_hour[hour], figures, strict=True)]
        answer = (await world.data(METRICS, hours=window))["org"]["executionMetrics"]
        told = {datetime.fromisoformat(point.pop("at")).isoformat(): point for point in answer["series"]}
        assert len(told) in {window + 1, window + 2}  # an hour at either end lies in it in part
        assert told == {hour: shown(of_hour[hour]) for hour in told}
        assert shown([sum(each) for each in zip(*of_hour.values(), strict=True)] or [0] * 6) == {
            "runs": answer["totalRuns"],
            "succeeded": answer["succeededRuns"],
            "failed": answer["failedRuns"],
            "cancelled": answer["cancelledRuns"],
            "averageDurationMs": answer["averageDurationMs"],
        }


def shown(figures: Sequence[int]) -> dict[str, int | None]:
    *counts, timed, duration = figures
    average = round(duration / timed) if timed else None
    return dict(zip(("runs", "succeeded", "failed", "cancelled"), counts, strict=True)) | {
        "averageDurationMs": average
    }


async def test_a_verdict_of_ours_gives_way_to_reports_and_not_the_other_way_round(any_world: World) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    first, second = await home.run_now(workflow), await home.run_now(workflow)
    [one, two] = await any_world.rows(Run)
    one, two = (one, two) if one.id == first.result["run_id"] else (two, one)
    assert second.result["run_id"] == two.id
    await home.report(
        run_of(two.external_id, RunStatus.SUCCESS, at=moment(5), started_at=moment(1), completed_at=moment(5))
    )
    any_world.clock.advance(any_world.settings.command_seconds + 1)  # type: ignore[attr-defined]
    await commands.expire(any_world.store, any_world.store.now())
    [one] = await any_world.rows(Run, id=one.id)
    assert (one.status, one.status_by_server) == (RunStatus.FAILED, True)
    assert one.failure_reason
    assert one.completed_at is not None
    [two] = await any_world.rows(Run, id=two.id)
    assert (two.status, two.status_by_server, two.failure_reason) == (RunStatus.SUCCESS, False, None)
    await home.report(run_of(one.external_id, RunStatus.RUNNING, at=moment(0), started_at=moment(0)))
    [one] = await any_world.rows(Run, id=one.id)
    assert (one.status, one.status_by_server) == (RunStatus.RUNNING, False)
    assert (one.failure_reason, one.completed_at, one.duration_ms) == (None, None, None)
    await figures_are_right(any_world)


async def test_durations_follow_from_the_times_unless_they_are_told(any_world: World) -> None:
    home = await cluster(any_world)
    times: dict[str, Any] = {"started_at": moment(10), "completed_at": moment(12.5)}
    step = step_of(0, StepStatus.SUCCESS, started_at=moment(10), completed_at=moment(11))
    job = job_of(status=JobStatus.SUCCESS, duration_ms=7, steps=[step], **times)
    await home.report(run_of("r1", RunStatus.SUCCESS, jobs=[job], **times), run_of("r2", RunStatus.RUNNING))
    [one] = await any_world.rows(Run, external_id="r1")
    [two] = await any_world.rows(Run, external_id="r2")
    assert (one.duration_ms, one.duration_order_ms, one.queued_at) == (2500, 2500, moment(10))
    assert (two.duration_ms, two.duration_order_ms, two.queued_at) == (None, -1, any_world.store.now())
    assert [row.duration_ms for row in await any_world.rows(Job)] == [7]
    assert [row.duration_ms for row in await any_world.rows(Step)] == [1000]


async def test_a_run_is_a_trigger_of_its_workflow_whenever_that_becomes_known(any_world: World) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    await home.report(run_of(status=RunStatus.RUNNING, at=moment(1)))
    await home.report(run_of(workflow_name="build", queued_at=moment(0), at=moment(0)))
    [workflow] = await any_world.rows(Workflow)
    assert workflow.last_triggered_at == moment(0)
    [run] = await any_world.rows(Run)
    assert run.workflow_id == workflow.id


@pytest.mark.parametrize(
    ("told", "path"),
    [
        (run_of(""), "runs.0.runId"),
        (run_of("x" * 129), "runs.0.runId"),
        (run_of(branch="a\0b"), "runs.0.branch"),
        (run_of(duration_ms=-1), "runs.0.durationMs"),
        (run_of(job_count=-1), "runs.0.jobCount"),
        (run_of(jobs=[job_of("a"), job_of("a")]), "runs.0.jobs"),
        (run_of(jobs=[job_of(steps=[step_of(1), step_of(1)])]), "runs.0.jobs.0.steps"),
        (run_of(jobs=[job_of(steps=[step_of(-2)])]), "runs.0.jobs.0.steps.0.number"),
        (run_of(at=datetime(2026, 2, 3, tzinfo=UTC)), "runs.0.at"),
    ],
)
async def test_malformed(world: World, told: RunReportInput, path: str) -> None:
    home = await cluster(world)
    with pytest.raises(InvalidInput) as caught:
        await home.report(told)
    assert ".".join(caught.value.path or ()) == path
    assert await world.rows(Run) == []


async def test_too_many_and_twice(world: World) -> None:
    home = await cluster(world)
    with pytest.raises(LimitExceeded):
        await home.report(*[run_of(str(number)) for number in range(501)])
    with pytest.raises(InvalidInput):
        await home.report(run_of(), run_of())


async def test_a_cluster_reports_only_runs_of_its_own(any_world: World) -> None:
    """Another cluster may use the same id: it speaks of its own run, and can't reach this one."""
    home, other = await cluster(any_world), await cluster(any_world, "test")
    [mine] = await home.report(run_of(status=RunStatus.RUNNING))
    [theirs] = await other.report(run_of(status=RunStatus.FAILED))
    assert mine != theirs
    [row] = await any_world.rows(Run, id=mine)
    assert row.status is RunStatus.RUNNING
    stranger = await cluster(any_world, "prod", "one", org="other")
    home.connection_id = stranger.connection_id
    with pytest.raises(UnknownConnection):
        await home.report(run_of(status=RunStatus.SUCCESS))


async def test_lineage_of_reruns(world: World) -> None:
    home = await cluster(world)
    told: dict[str, Any] = {"parent_run_id": "r1", "original_run_id": "r1", "at": moment(0)}
    await home.report(run_of("r2", **told), run_of("r1", RunStatus.SUCCESS))
    answer = await world.data(
        '{ org { run(id: "r2") { parent { externalId } original { externalId parent { id } } } } }'
    )
    assert answer["org"]["run"] == {
        "parent": {"externalId": "r1"},
        "original": {"externalId": "r1", "parent": None},
    }


async def test_an_orchestrators_id_may_look_like_ours(world: World) -> None:
    home = await cluster(world)
    await home.report(run_of("run_17", RunStatus.SUCCESS))
    answer = await world.data('{ org { run(id: "run_17") { externalId } } }')
    assert answer["org"]["run"] == {"externalId": "run_17"}


async def test_events_tell_the_whole_state(world: World) -> None:
    home = await cluster(world)
    await home.report(run_of(status=RunStatus.RUNNING, jobs=[job_of(steps=[step_of(name="make")])]))
    told = [
        event for _, event in await world.events() if event.type.value.startswith(("run.", "job.", "step."))
    ]
    assert [event.type for event in told] == [
        EventType.RUN_CHANGED,
        EventType.JOB_CHANGED,
        EventType.STEP_CHANGED,
    ]
    assert told[2].data["name"] == "make"
    assert told[2].data["run"]["status"] == "RUNNING"
