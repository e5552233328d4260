"""What frames about runs say, where their words are not to be taken as they stand."""

import pytest

from kici_gql.relay.messages import telemetry
from kici_gql.tables import RunStatus
from tests.relay.recorded import Player, ready

RUN, JOB = "aab7b8e6-962b-4cc7-9d93-aadd31633627", "5f0f8c2e-6f35-4a05-9d9e-0a8a7b3f7c11"
NOON = 1795440185955


def status(word: str, jobs: int, at: int) -> dict[str, object]:
    return {
        "type": "execution.status",
        "runId": RUN,
        "status": word,
        "jobCount": jobs,
        "timestamp": NOON + at,
    }


def test_the_end_of_the_build_is_not_the_end_of_the_run() -> None:
    """As 0.1.24 tells a run whose workflow has to be built before its jobs are known."""
    player = ready()
    for frame in (status("pending", 1, 1), status("running", 1, 2), status("success", 1, 3)):
        player.say(frame)
    assert player.book.status(RUN) == RunStatus.SUCCESS
    player.say(status("running", 2, 4))
    assert player.book.status(RUN) == RunStatus.RUNNING
    player.say(status("success", 1, 3))
    assert player.book.status(RUN) == RunStatus.RUNNING
    replayed = status("running", 2, 9) | {"jobs": [], "completedAt": NOON + 3, "durationMs": 2}
    player.say({"type": "state.replay", "messageId": "m", "runs": [replayed], "timestamp": NOON})
    assert "completed_at" not in player.book.runs[RUN]
    player.say(status("success", 2, 5))
    assert player.book.status(RUN) == RunStatus.SUCCESS


def test_a_job_keeps_its_name_when_its_id_is_told_in_its_place() -> None:
    player = Player(ready().book)
    player.introduce()
    about = {"runId": RUN, "jobId": JOB, "timestamp": NOON}
    player.say(about | {"type": "job.status.forward", "jobName": "compile", "status": "running"})
    later = about | {"timestamp": NOON + 1, "jobName": JOB}
    player.say(later | {"type": "step.status.forward", "stepIndex": 0, "stepName": "x", "state": "running"})
    player.say(later | {"type": "job.status.forward", "status": "success"})
    assert player.book.jobs[RUN, JOB]["name"] == "compile"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"triggerActorUsername": "ada"}, "ada"),
        ({"triggerActorUsername": "ada", "triggeredBy": "service_account:ci"}, "ci"),
        ({"triggeredBy": "grace"}, "grace"),
        ({}, None),
    ],
)
def test_who_pushed_is_who_triggered_unless_somebody_asked(told: dict[str, str], name: str | None) -> None:
    run = telemetry.read_execution_status({"runId": RUN, "status": "pending"} | told)
    assert run is not None
    assert run.triggered_by == name


@pytest.mark.parametrize(("word", "kept"), [("pending", False), ("queued", False), ("skipped", True)])
def test_a_job_that_waits_for_others_has_no_id_yet(word: str, kept: bool) -> None:
    """It starts under another one, and the first would stay behind, waiting for ever."""
    waits = f"needs-pending-test-{JOB}"
    jobs = [{"jobId": JOB, "jobName": "compile", "status": "running"}, {"jobId": waits, "status": word}]
    replayed = status("running", 2, 1) | {"jobs": jobs}
    player = ready()
    player.say({"type": "state.replay", "messageId": "m", "runs": [replayed], "timestamp": NOON})
    assert {job for _, job in player.book.jobs} == ({JOB, waits} if kept else {JOB})
    assert {job.job_id for job in telemetry.read_detail(RUN, {"jobs": jobs}).jobs} == (
        {JOB, waits} if kept else {JOB}
    )
