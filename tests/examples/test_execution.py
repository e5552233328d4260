"""A run's life, as far as it is nobody's business how its jobs are carried out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.definitions import Workflow, parse
from orchestrator.execution import Execution, Order, epitaph, recall

START = datetime(2026, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def workflow(*jobs: str) -> Workflow:
    """A workflow of such jobs: ``test<build`` needs ``build``; each has two steps."""
    text = '[w]\nrepository = "x/y"\n'
    for job in jobs:
        name, _, needs = job.partition("<")
        wanted = ", ".join(f'"{each}"' for each in needs.split("+") if each)
        text += f'[w.jobs.{name}]\nneeds = [{wanted}]\nsteps = [{{ run = "a" }}, {{ run = "b" }}]\n'
    return parse(text)["w"]


def execution(*jobs: str) -> Execution:
    return Execution(workflow(*jobs), Order("r-1", {"a": "1"}, "schedule", "schedule"), START)


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {job["jobId"]: job["status"] for job in report["jobs"]}


def test_the_first_report_tells_everything() -> None:
    report = execution("build", "test<build").report(later(0))
    assert report["status"] == "PENDING"
    assert statuses(report) == {"build": "QUEUED", "test": "PENDING"}
    assert [step["status"] for step in report["jobs"][0]["steps"]] == ["PENDING", "PENDING"]
    assert report["registrationId"] == report["workflowName"] == "w"
    assert report["triggerType"] == "schedule"
    assert "startedAt" not in report


def test_a_job_waits_for_those_it_needs_and_the_run_ends_with_the_last() -> None:
    run = execution("build", "lint", "test<build+lint")
    assert run.queued() == ["build", "lint"]
    run.start_job("build", "a-1", later(1))
    run.start_job("lint", "a-2", later(1))
    run.end_job("build", "SUCCESS", "", later(2))
    assert run.queued() == []
    report = run.end_job("lint", "SUCCESS", "", later(3))
    assert statuses(report) == {"lint": "SUCCESS", "test": "QUEUED"}
    run.start_job("test", "a-1", later(4))
    report = run.end_job("test", "SUCCESS", "", later(6))
    assert run.ended
    assert (report["status"], report["durationMs"]) == ("SUCCESS", 5000)


def test_steps_are_told_one_by_one() -> None:
    run = execution("build")
    assert run.start_job("build", "a-1", later(0))["jobs"][0]["agentId"] == "a-1"
    started = run.start_step("build", 0, later(1))["jobs"][0]
    assert [(step["number"], step["status"]) for step in started["steps"]] == [(0, "RUNNING")]
    ended = run.end_step("build", 0, "FAILED", 3, "exit status 3", later(2))["jobs"][0]["steps"][0]
    assert (ended["status"], ended["exitCode"], ended["durationMs"]) == ("FAILED", 3, 1000)
    report = run.end_job("build", "FAILED", "step 1 (a): exit status 3", later(2))
    assert [step["status"] for step in report["jobs"][0]["steps"]] == ["FAILED", "SKIPPED"]
    assert report["failureReason"] == "job build: step 1 (a): exit status 3"


def test_who_needs_a_job_that_failed_is_skipped_and_the_others_go_on() -> None:
    run = execution("build", "other", "test<build", "ship<test")
    run.start_job("build", "a-1", later(0))
    report = run.end_job("build", "FAILED", "broken", later(1))
    assert statuses(report) == {"build": "FAILED", "test": "SKIPPED", "ship": "SKIPPED"}
    assert not run.ended
    run.start_job("other", "a-1", later(2))
    assert run.end_job("other", "SUCCESS", "", later(3))["status"] == "FAILED"


def test_a_run_that_nobody_began_is_cancelled_at_once() -> None:
    run = execution("build", "test<build")
    report = run.cancel("me", later(1))
    assert run.ended
    assert (report["status"], report["cancelledBy"]) == ("CANCELLED", "me")
    assert statuses(report) == {"build": "CANCELLED", "test": "CANCELLED"}


def test_a_job_that_runs_has_to_end_by_itself() -> None:
    run = execution("build", "test<build")
    run.start_job("build", "a-1", later(0))
    report = run.cancel("me", later(1))
    assert report["status"] == "CANCELLING"
    assert statuses(report) == {"build": "CANCELLING", "test": "CANCELLED"}
    assert run.active() == ["build"]
    assert run.cancel("you", later(2))["cancelledBy"] == "me"
    assert run.end_job("build", "CANCELLED", "cancelled", later(3))["status"] == "CANCELLED"


def test_an_end_that_comes_twice_changes_nothing() -> None:
    run = execution("build")
    run.start_job("build", "a-1", later(0))
    run.end_job("build", "FAILED", "died", later(1))
    assert run.end_job("build", "SUCCESS", "", later(2))["status"] == "FAILED"


def test_what_had_not_begun_goes_on_after_a_sudden_end() -> None:
    run = execution("build", "test<build")
    again = recall(run.record(), workflow("build", "test<build"))
    assert again is not None
    assert again.record() == run.record()
    assert recall(run.record(), None) is None
    assert recall(run.record(), workflow("build")) is None


def test_what_had_begun_is_failed_and_keeps_what_was_done() -> None:
    run = execution("build", "lint", "test<build")
    run.start_job("build", "a-1", later(0))
    run.end_job("build", "SUCCESS", "", later(1))
    run.start_job("test", "a-1", later(1))
    record = run.record()
    assert recall(record, run.workflow) is None
    report = epitaph(record, "it was killed", later(9))
    assert (report["status"], report["failureReason"]) == ("FAILED", "it was killed")
    assert statuses(report) == {"lint": "FAILED", "test": "FAILED"}
