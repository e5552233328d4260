"""The ten things that will bite (PROTOCOL, section 0), each with its own test."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kici_gql.errors import InvalidInput
from kici_gql.relay.messages.answers import Answered
from kici_gql.relay.messages.requests import KINDS, request
from kici_gql.relay.messages.telemetry import REPLAYED_AT
from kici_gql.relay.session.effects import Registrations, Settle, Tell
from tests.relay.recorded import USUAL_ANSWERS, Player, answers, frames, ready

RUN = "af8607f3-980f-4321-a3ce-8495d90d4e09"
JOB = "b651eb59-2130-4853-8589-a11ef9217df6"
NOON = 1795440000000


def status(status: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "type": "execution.status",
        "messageId": "m",
        "runId": RUN,
        "status": status,
        "timestamp": NOON + at,
    } | more


@pytest.mark.parametrize(
    "bad", ["x", "", None, 7, RUN + " ", RUN[:-1], "' OR 1=1", ["a"], RUN.replace("-", "")]
)
@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (kind.type, name)
        for kind in KINDS.values()
        for name in kind.required
        if name in {"runId", "registrationId", "eventId"}
    ],
)
def test_1_no_malformed_id_leaves(type_: str, name: str, bad: Any) -> None:
    usual: dict[str, Any] = {
        "runId": RUN,
        "jobId": JOB,
        "stepIndex": 0,
        "registrationId": RUN,
        "disabled": True,
    }
    usual |= {"orgId": "org", "eventId": RUN}
    arguments = {key: value for key, value in usual.items() if key in KINDS[type_].required}
    request(type_, **arguments)
    with pytest.raises(InvalidInput):
        request(type_, **(arguments | {name: bad}))


def test_1_every_id_of_a_request_has_a_rule() -> None:
    ids = {"runId", "registrationId", "eventId"}
    for kind in KINDS.values():
        for name, rule in {**kind.required, **kind.optional}.items():
            assert not (name in ids and rule("not-a-uuid"))


def test_2_a_cancel_that_reached_nobody_says_so() -> None:
    player = ready()
    player.answers["run.cancel.request"] = {"type": "run.cancel.response", "cancelledJobs": 0}
    player.perform(player.session.ask("k", request("run.cancel.request", runId=RUN), player.now))
    [settled] = player.seen(Settle)
    assert isinstance(settled.outcome, Answered)
    assert settled.outcome.body["cancelledJobs"] == 0  # not an error, and the run is left to its own reports
    assert not player.book.runs


def test_3_a_disabled_workflow_still_shows_the_runs_that_a_push_starts() -> None:
    listed = answers("registrations", "dashboard.registrations.list.response")[0]
    disabled = [each | {"disabled": True} for each in listed["registrations"]]
    player = Player()
    player.answers["dashboard.registrations.list"] = listed | {"registrations": disabled}
    player.introduce()
    player.wait(1)
    [known] = player.seen(Registrations)
    assert not any(workflow.enabled for workflow in known.registry.workflows)
    player.say(status("running", workflowName="slow"))
    assert player.book.status(RUN) == "RUNNING"


def test_4_deleting_with_cancel_leaves_the_run_to_its_own_end() -> None:
    player = ready()
    player.answers["dashboard.registration.delete"] = {
        "type": "dashboard.registration.delete.result",
        "success": True,
    }
    player.say(status("running", workflowName="slow"))
    asked = request("dashboard.registration.delete", registrationId=RUN, cancelActiveRuns=True)
    player.perform(player.session.ask("k", asked, player.now))
    assert player.book.status(RUN) == "RUNNING"
    player.say(status("success", 5000))
    assert player.book.status(RUN) == "SUCCESS"


def test_5_the_agents_token_and_its_environment_get_nowhere() -> None:
    secret = "kat_" + "s3cr3t" * 6
    context = next(frame for frame in frames("run-success") if frame["type"] == "job.context")
    context["context"]["envVars"].append({"name": "AWS_SECRET", "value": "hunter2", "category": "user"})
    player = ready()
    player.say(json.loads(json.dumps(context).replace("kat_<redacted>", secret)))
    player.say(
        {
            "type": "log.chunk",
            "runId": RUN,
            "jobId": JOB,
            "stepIndex": 0,
            "lines": [f"env: KICI_AGENT_TOKEN={secret}"],
        }
    )
    player.say(
        status("failed", failureReason=f"bad token {secret}", somethingNew={"deep": {"token": secret}})
    )
    shown = repr(player.effects) + repr(player.book) + repr(vars(player.session))
    assert secret not in shown
    assert "hunter2" not in shown


def test_6_a_delivery_record_makes_no_run() -> None:
    started = [frame for frame in frames("run-success") if frame.get("event") == "started"]
    player = ready()
    for frame in started:
        player.say(frame)
    assert started
    assert not player.book.runs
    assert not player.seen(Tell)


def test_7_states_never_regress_whatever_the_timestamps_say() -> None:
    player = ready()
    player.say(status("running", 10))
    player.say(status("pending", 20))
    assert player.book.status(RUN) == "RUNNING"
    player.say(status("success", 30))
    player.say(status("running", 40))
    assert player.book.status(RUN) == "SUCCESS"


def test_7_lines_and_steps_may_trail_their_job() -> None:
    player = ready()
    base = {"runId": RUN, "jobId": JOB, "jobName": "compile", "timestamp": NOON}
    player.say(base | {"type": "job.status.forward", "status": "success"})
    player.say(
        base | {"type": "step.status.forward", "stepIndex": 0, "stepName": "build", "state": "success"}
    )
    player.say(base | {"type": "log.chunk", "stepIndex": 0, "lines": ["late"]})
    assert player.book.job_status(RUN, JOB) == "SUCCESS"
    assert player.book.steps[RUN, JOB, 0]["status"] == "SUCCESS"
    assert player.book.lines[RUN, JOB, 0] == ["late"]


def test_8_each_registration_is_acknowledged_once_for_every_ack_costs_a_replay() -> None:
    player = ready()
    player.wait(100)
    assert len(player.asked("source.register.ack")) == 1
    player.say(
        {
            "type": "source.register",
            "messageId": "second",
            "sources": [{"provider": "generic", "routingKey": "generic:x"}],
        }
    )
    assert [ack["messageId"] for ack in player.asked("source.register.ack")][1:] == ["second"]


def test_8_a_replay_told_again_changes_nothing() -> None:
    [replay] = [frame for frame in frames("replay-size") if frame["type"] == "state.replay"]
    player = ready()
    player.say(replay)
    before = repr(player.book)
    player.say(replay)
    assert repr(player.book) == before


def test_9_a_replay_may_exceed_its_own_bound() -> None:
    [replay] = [frame for frame in frames("replay-size") if frame["type"] == "state.replay"]
    player = ready()
    player.say(replay)
    assert len(player.book.runs) == len(replay["runs"]) == 620
    assert max(len(tell.runs) for tell in player.seen(Tell)) <= 200


def test_9_a_replay_fills_gaps_and_overwrites_nothing() -> None:
    player = ready()
    player.say(
        status(
            "success", 30, triggerEvent="push", commitMessage="fix", durationMs=7209, completedAt=NOON + 30
        )
    )
    run = {
        "runId": RUN,
        "status": "failed",
        "durationMs": 1,
        "commitMessage": "other",
        "sha": "7dbc5d2",
        "triggerEvent": None,
    }
    player.say({"type": "state.replay", "messageId": "m", "runs": [run], "timestamp": NOON})
    known = player.book.runs[RUN]
    assert (known["status"], known["duration_ms"], known["commit_message"]) == ("SUCCESS", 7209, "fix")
    assert known["commit_sha"] == "7dbc5d2"
    assert known["trigger_type"] == "push"


def test_9_what_a_replay_said_gives_way_to_any_report() -> None:
    player = ready()
    run = {"runId": RUN, "status": "running", "jobCount": 0, "jobs": [], "ref": "old"}
    player.say({"type": "state.replay", "messageId": "m", "runs": [run], "timestamp": NOON})
    player.say(status("failed", -3_600_000, ref="main"))
    assert player.book.status(RUN) == "FAILED"
    assert player.book.runs[RUN]["branch"] == "main"


def test_10_a_job_of_a_run_nobody_announced_is_not_lost() -> None:
    player = ready()
    about = {"runId": RUN, "jobId": JOB, "timestamp": NOON}
    player.say(about | {"type": "job.context", "context": {"sandboxType": "bare-metal"}})
    player.say(about | {"type": "log.chunk", "stepIndex": 0, "lines": ["hello"]})
    done = {"type": "execution.event", "event": "job_completed", "data": {"jobId": JOB, "state": "success"}}
    player.say(about | done)
    [first, *_] = player.seen(Tell)
    assert first.runs[0].at == REPLAYED_AT < datetime.now(UTC)
    assert player.book.job_status(RUN, JOB) == "SUCCESS"
    assert player.book.lines[RUN, JOB, 0] == ["hello"]
    assert player.book.status(RUN) is None


def test_10_and_its_run_is_known_as_soon_as_anybody_speaks_of_it() -> None:
    player = ready()
    player.say({"type": "log.chunk", "runId": RUN, "jobId": JOB, "stepIndex": 0, "lines": ["hello"]})
    player.say(status("running", workflowName="slow"))
    assert (player.book.status(RUN), player.book.runs[RUN]["workflow_name"]) == ("RUNNING", "slow")
    assert set(USUAL_ANSWERS) <= {frame["type"] for frame in player.sent}
