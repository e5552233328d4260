"""What went down with a link that nobody knew was dead is there when the orchestrator is back."""

import json
from typing import Any

import pytest

from kici_gql.relay import recovery
from kici_gql.relay.messages import telemetry
from kici_gql.relay.recovery import MAX_TRIES, Tries
from kici_gql.store import logs
from kici_gql.store.logs import Wanted
from kici_gql.tables import Job, Run, Step
from tests.relay.live import Link, Relay, until

RUN, JOB = "aab7b8e6-962b-4cc7-9d93-aadd31633627", "5f0f8c2e-6f35-4a05-9d9e-0a8a7b3f7c11"
NOON = 1795440185955
ABOUT = {"runId": RUN, "jobId": JOB, "jobName": "compile"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SETTLES_SECONDS", 0.05)


def run(status: str, at: int) -> dict[str, Any]:
    told = {"runId": RUN, "workflowName": "build", "status": status, "jobCount": 1, "startedAt": NOON}
    return told | {"type": "execution.status", "timestamp": NOON + at}


def job(status: str, at: int) -> dict[str, Any]:
    return ABOUT | {"type": "job.status.forward", "status": status, "timestamp": NOON + at}


def step(number: int, state: str, at: int) -> dict[str, Any]:
    about = {"stepIndex": number, "stepName": f"step-{number}", "state": state, "timestamp": NOON + at}
    return ABOUT | about | {"type": "step.status.forward"}


def printed(*lines: str) -> dict[str, Any]:
    return ABOUT | {"type": "log.chunk", "stepIndex": 0, "lines": list(lines), "timestamp": NOON}


def detail(job_status: str, *steps: str) -> dict[str, Any]:
    told = [
        {"stepIndex": number, "stepName": f"step-{number}", "status": status, "startedAt": NOON + 10 * number,
         "completedAt": NOON + 10 * number + 9 if status == "success" else None, "errorMessage": "[object Object]"}
        for number, status in enumerate(steps)
    ]  # fmt: skip
    jobs = [{"jobId": JOB, "jobName": "compile", "status": job_status, "steps": told}]
    return {"type": "dashboard.run.detail.response", "jobs": jobs}


def whole(*lines: str) -> dict[str, Any]:
    told = [json.dumps({"ts": "2026-11-23T13:23:09.484Z", "level": "stdout", "msg": line}) for line in lines]
    return {"type": "dashboard.step.logs.response", "lines": told, "totalLines": len(told)}


async def lines_of(relay: Relay, number: int = 0) -> list[str]:
    rows = await relay.world.rows(Job)
    found = await relay.world.store.read(logs.read, rows[0].id, number, Wanted(100, 10_000)) if rows else None
    return [] if found is None else [text for _, text in found.lines]


async def test_a_run_that_went_on_without_us_is_whole_in_the_end(any_relay: Relay) -> None:
    first = Link(any_relay)
    await first.introduce()
    for frame in (run("running", 1), job("running", 2), step(0, "running", 3), printed("1", "2")):
        first.say(frame)
    await until(lambda: shows(any_relay, ["1", "2"]))
    await first.hang_up(1006)  # lines 3 and 4 and the beginning of step 1 went into a dead link
    second = Link(any_relay)
    second.answers["dashboard.run.detail"] = detail("running", "success", "running")
    second.answers["dashboard.step.logs"] = whole("1", "2", "3", "4", "5")
    await second.introduce()
    await second.until(lambda: bool(second.asked("dashboard.run.detail")))
    await until(lambda: steps_are(any_relay, ["SUCCESS", "RUNNING"]))
    assert second.asked("dashboard.step.logs") == [], "the job may have lines on their way"
    second.say(printed("5"))
    await until(lambda: shows(any_relay, ["1", "2", "5"]))
    second.answers["dashboard.run.detail"] = detail("success", "success", "success")
    for frame in (job("success", 50), run("success", 51)):
        second.say(frame)
    await until(lambda: shows(any_relay, ["1", "2", "3", "4", "5"]))
    await until(lambda: has_lines(any_relay, 5, 1))
    [row] = await any_relay.world.rows(Run)
    assert row.log_bytes == 20
    steps = sorted(await any_relay.world.rows(Step), key=lambda each: each.number)
    assert [(each.status, each.error_message) for each in steps] == [("SUCCESS", None)] * 2
    assert steps[1].started_at is not None
    await second.hang_up()


async def shows(relay: Relay, lines: list[str]) -> bool:
    return await lines_of(relay) == lines


async def steps_are(relay: Relay, statuses: list[str]) -> bool:
    steps = sorted(await relay.world.rows(Step), key=lambda each: each.number)
    return [each.status for each in steps] == statuses


async def test_a_run_that_came_and_went_meanwhile_is_asked_for(any_relay: Relay) -> None:
    first = Link(any_relay)
    await first.introduce()
    jobs = [{"jobId": JOB, "jobName": "compile", "status": "success"}]
    replayed = run("success", 9) | {"jobs": jobs, "completedAt": NOON + 9}
    first.say({"type": "state.replay", "messageId": "m", "runs": [replayed], "timestamp": NOON})
    await until(lambda: any_relay.world.rows(Job))
    await first.hang_up()
    second = Link(any_relay)
    second.answers["dashboard.run.detail"] = detail("success", "success")
    second.answers["dashboard.step.logs"] = whole("1", "token kat_0123456789abcdef", "3")
    await second.introduce()
    await until(lambda: steps_are(any_relay, ["SUCCESS"]))
    await until(lambda: has_lines(any_relay, 3))
    assert "kat_0123456789abcdef" not in "".join(await lines_of(any_relay))
    await second.hang_up()


async def has_lines(relay: Relay, lines: int, number: int = 0) -> bool:
    return len(await lines_of(relay, number)) == lines


async def test_a_log_that_is_whole_is_left_alone(relay: Relay) -> None:
    async with relay.link() as first:
        for frame in (run("running", 1), job("running", 2), step(0, "running", 3), printed("1", "2", "3")):
            first.say(frame)
        await until(lambda: shows(relay, ["1", "2", "3"]))
    second = Link(relay)
    second.answers["dashboard.run.detail"] = detail("success", "success")
    second.answers["dashboard.step.logs"] = whole("a", "b", "c")
    await second.introduce()
    await second.until(lambda: bool(second.asked("dashboard.step.logs")))
    await until(lambda: steps_are(relay, ["SUCCESS"]))
    await second.hang_up()
    assert await shows(relay, ["1", "2", "3"])


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "x.response", "error": "boom"},
        {"type": "x.response", "jobs": [{"jobId": 7}, "nonsense"]},
        {"type": "x.response", "jobs": [{"jobId": JOB, "status": "success", "steps": [{"stepIndex": "x"}]}]},
    ],
)
async def test_an_odd_answer_costs_nothing(relay: Relay, answer: dict[str, Any]) -> None:
    async with relay.link() as first:
        for frame in (run("running", 1), job("running", 2), step(0, "running", 3)):
            first.say(frame)
        await until(lambda: steps_are(relay, ["RUNNING"]))
    second = Link(relay)
    second.answers["dashboard.run.detail"] = answer
    await second.introduce()
    await second.until(lambda: bool(second.asked("dashboard.run.detail")))
    second.say(step(0, "success", 4))
    await until(lambda: steps_are(relay, ["SUCCESS"]))
    assert second.closed is None
    await second.hang_up()


def test_a_log_is_not_asked_for_for_ever() -> None:
    tries = Tries()
    tried = [tries.may("orc_1", RUN, JOB, 0) for _ in range(MAX_TRIES + 2)]
    assert tried == [True] * MAX_TRIES + [False] * 2
    assert tries.may("orc_1", RUN, JOB, 1)
    assert tries.may("orc_2", RUN, JOB, 0), "nobody else can use them up"


async def test_one_that_tells_of_steps_without_end_is_asked_for_some(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MAX_LOGS", 5)
    monkeypatch.setattr(telemetry, "MAX_DETAILED_STEPS", 8)
    async with relay.link() as first:
        for frame in (run("running", 1), job("running", 2), step(0, "running", 3)):
            first.say(frame)
        await until(lambda: steps_are(relay, ["RUNNING"]))
    second = Link(relay)
    second.answers["dashboard.run.detail"] = detail("success", *["success"] * 20)
    second.answers["dashboard.step.logs"] = whole("a")
    await second.introduce()
    await until(lambda: steps_are(relay, ["SUCCESS"] * 8))
    await until(lambda: has_lines(relay, 1, 4))
    second.say(run("success", 9))
    await second.hang_up()
    assert len(second.asked("dashboard.step.logs")) == 5
