"""Workflows from a click to their last line: a real server, real orchestrators, agents and shells."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from resuming import frames
from tests.examples.live_server import LiveServer
from tests.examples.program import lives
from tests.examples.workbench import Workbench, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def workflow(name: str, *scripts: str, more: str = "") -> str:
    steps = "".join(f"[[{name}.jobs.main.steps]]\nrun = '''{script}'''\n" for script in scripts)
    return f'[{name}]\nrepository = "x/y"\n{more}\n{steps}\n'


TICKS = "for n in 1 2 3 4 5 6; do echo tick $n; sleep 0.3; done"
FOREVER = "echo ready; while :; do sleep 0.1; done"
FILE = (
    workflow("ticks", TICKS, "echo second step")
    + workflow("fails", "echo fine", "echo bad >&2; exit 3", "echo never")
    + workflow("forever", FOREVER)
    + workflow("polite", "trap 'echo tidied up; exit 0' TERM; echo ready; while :; do sleep 0.1; done")
    + workflow("greets", "echo $INPUT_GREETING", more='inputs.greeting.default = "hello"')
    + workflow(
        "chain", "echo built", more='jobs.test.needs = ["main"]\njobs.test.steps = [{ run = "echo tested" }]'
    )
    + workflow("marks", 'echo once >> "$MARKS"; echo marked')
    + workflow(
        "counts", "i=0; while [ $i -lt 150 ]; do seq $((i*50)) $((i*50+49)); i=$((i+1)); sleep 0.02; done"
    )
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def work(shared: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """An orchestrator with two agents for the tests that don't harm it, and leave it idle."""
    bench = Workbench(shared, tmp_path_factory.mktemp("work"), "work", FILE, "--agents", "2")
    bench.start()
    yield bench
    assert bench.stop() == 0
    assert "Traceback" not in bench.said


@pytest.fixture
def own(shared: LiveServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """An orchestrator to be harmed."""
    bench = Workbench(
        shared, tmp_path, f"own-{os.getpid()}-{abs(hash(request.node.name)) % 10**6}", FILE, "--agents", "1"
    )
    bench.start()
    yield bench
    bench.stop()
    assert "Traceback" not in bench.said


def test_the_workflows_of_the_file_are_registered(work: Workbench) -> None:
    work.workflow("ticks")
    assert set(work.workflows()) == {
        "ticks", "fails", "forever", "polite", "greets", "chain", "marks", "counts",
    }  # fmt: skip
    assert work.workflows()["ticks"]["sourceFile"] == "workflows.toml"


async def test_a_click_becomes_a_live_run_with_its_lines(work: Workbench) -> None:
    seen: list[str] = []
    arrivals: list[float] = []
    work.workflow("ticks")

    async def watch_runs() -> None:
        document = """subscription ($after: Cursor) { runs(after: $after) { cursor snapshot { __typename } events {
            __typename ... on RunChanged { run { workflowName status } } ... on JobChanged { job { status } } } } }"""
        async for frame in frames(work.server.url, work.server.admin, document):
            for event in frame["events"]:
                subject = event.get("run") or event.get("job") or {}
                if subject and subject.get("workflowName", "ticks") == "ticks":
                    seen.append(f"{event['__typename']} {subject['status']}")

    async def read_log(run_id: str) -> list[str]:
        document = """subscription ($run: ID!) { runLog(run: $run, job: "main") { cursor
            snapshot { lines { number text } } events { __typename ... on LogLines { lines { number text } } } } }"""
        lines: list[str] = []
        async for frame in frames(work.server.url, work.server.admin, document, {"run": run_id}):
            parts = [frame["snapshot"], *frame["events"]] if frame["snapshot"] else frame["events"]
            for part in parts:
                if part.get("__typename") == "LogEnd":
                    return lines
                for line in part["lines"]:
                    assert line["number"] == len(lines)
                    lines.append(line["text"])
                    arrivals.append(time.monotonic())
        return lines

    watching = asyncio.create_task(watch_runs())
    await asyncio.sleep(0.5)
    began = time.monotonic()
    answer = await asyncio.to_thread(work.run_now, "ticks")
    assert (
        time.monotonic() - began < 10
    )  # 300 ms on an idle machine; a command that nobody takes waits for 60 s
    assert answer["run"]["status"] == "PENDING"
    run_id = answer["run"]["id"]
    await asyncio.to_thread(until, lambda: work.run(run_id)["jobs"])
    lines = await asyncio.wait_for(read_log(run_id), 60)
    assert lines == [f"tick {number}" for number in range(1, 7)]
    assert arrivals[-1] - arrivals[0] > 0.4  # while it ran, not at its end
    run = await asyncio.to_thread(work.ended, run_id)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert run["status"] == "SUCCESS"
    assert [step["status"] for step in run["jobs"][0]["steps"]] == ["SUCCESS", "SUCCESS"]
    assert await asyncio.to_thread(work.log, run_id, 0, 1) == ["second step"]
    assert work.command(answer["command"]["id"]) == ("SUCCEEDED", None)
    positions = [
        seen.index(each) for each in ("RunChanged PENDING", "JobChanged QUEUED", "JobChanged RUNNING")
    ]
    assert positions == sorted(positions)


def test_a_run_that_fails_says_where_and_why(work: Workbench) -> None:
    run_id = work.start_run("fails")
    run = work.ended(run_id)
    assert (run["status"], run["triggerType"]) == ("FAILED", "manual")
    assert run["failureReason"].startswith("job main: step 2 (echo bad")
    assert [(step["status"], step["exitCode"]) for step in run["jobs"][0]["steps"]] == [
        ("SUCCESS", 0),
        ("FAILED", 3),
        ("SKIPPED", None),
    ]
    assert work.log(run_id, 0, 1) == ["bad"]


def test_cancelling_is_gentle_or_not(work: Workbench) -> None:
    gentle, hard = work.start_run("polite"), work.start_run("forever")
    work.running(gentle)
    work.running(hard)
    work.ask("runCancel", runId=gentle)
    work.ask("runCancel", runId=hard, force=True)
    run = work.ended(gentle)
    assert (run["status"], run["jobs"][0]["steps"][0]["exitCode"]) == ("CANCELLED", 0)
    assert run["cancelledBy"]
    assert work.log(gentle)[-1] == "tidied up"
    assert work.ended(hard)["jobs"][0]["steps"][0]["exitCode"] == 137


def test_jobs_wait_for_each_other_and_for_a_free_agent(work: Workbench) -> None:
    runs = [work.start_run("forever") for _ in range(2)]
    chain = work.start_run("chain")
    until(
        lambda: (
            [(job["name"], job["status"]) for job in work.run(chain)["jobs"]]
            == [("test", "PENDING"), ("main", "QUEUED")]
        )
    )
    figures = """{ org { orchestrators { nodes { instanceId runningJobs queuedJobs } } agents { nodes { agentId activeJobs } } } }"""

    def load() -> Any:
        found = work.server.execute(figures)["org"]
        own = next(each for each in found["orchestrators"]["nodes"] if each["instanceId"] == "work")
        agents = [
            each["activeJobs"] for each in found["agents"]["nodes"] if each["agentId"].startswith("work-")
        ]
        return (own["runningJobs"], own["queuedJobs"], agents) == (2, 1, [1, 1])

    until(load)
    for run_id in runs:
        work.ask("runCancel", runId=run_id, force=True)
    run = work.ended(chain)
    test, build = run["jobs"]  # as the file has them
    assert run["status"] == "SUCCESS"
    assert build["completedAt"] <= test["startedAt"]
    assert work.log(chain, 0) == ["tested"]
    assert {work.ended(each)["status"] for each in runs} == {"CANCELLED"}


def test_inputs_arrive_and_a_rerun_has_the_same(work: Workbench) -> None:
    first = work.start_run("greets", greeting='it\'s $HOME; "x"')
    assert work.ended(first)["status"] == "SUCCESS"
    assert work.log(first) == ['it\'s $HOME; "x"']
    command_id = work.ask("runRerun", runId=first)
    document = "query ($id: ID!) { node(id: $id) { ... on Command { run { id } } } }"
    second = work.server.execute(document, id=command_id)["node"]["run"]["id"]
    run = work.ended(second)
    assert (run["triggerType"], run["parent"]["id"]) == ("rerun", first)
    assert work.log(second) == work.log(first)


def test_switching_and_deleting_survive_a_restart(own: Workbench) -> None:
    own.ask("workflowSetEnabled", workflowId=own.workflow("ticks"), enabled=False)
    run_id = own.start_run("forever")
    own.running(run_id)
    command_id = own.ask("workflowDelete", workflowId=own.workflow("forever"), cancelActiveRuns=True)
    assert own.ended(run_id)["status"] == "CANCELLED"
    until(lambda: own.command(command_id)[0] == "SUCCEEDED")
    assert own.stop() == 0
    own.start()
    until(lambda: own.said.count("connected to cluster") == 2)
    own.start_run("fails")
    assert "forever" not in own.workflows()
    assert own.workflows()["ticks"]["enabled"] is False
    assert own.run_now("ticks")["wasDisabled"] is True


def test_a_command_that_was_received_by_one_that_was_killed_is_done_once(
    own: Workbench,
) -> None:
    first = own.ask("workflowSetEnabled", workflowId=own.workflow("marks"), enabled=True)
    until(lambda: own.command(first)[0] == "SUCCEEDED")  # it has come to follow its commands
    os.kill(own.pid, signal.SIGSTOP)
    answer = own.run_now("marks")
    command_id, run_id = answer["command"]["id"], answer["run"]["id"]
    until(lambda: own.command(command_id)[0] == "DELIVERED")
    own.kill()
    own.start()
    assert own.ended(run_id)["status"] == "SUCCESS"
    until(lambda: own.command(command_id)[0] == "SUCCEEDED")
    assert own.marks.read_text() == "once\n"
    assert own.said.count("RUN_NOW of") == 1


def test_one_that_is_killed_in_the_middle_of_a_run_tells_its_end(own: Workbench) -> None:
    run_id = own.start_run("forever")
    own.running(run_id)
    family = psutil.Process(own.pid).children(recursive=True)
    own.kill()
    until(lambda: not any(lives(each) for each in family))
    own.start()
    run = own.ended(run_id)
    assert (run["status"], run["failureReason"]) == ("FAILED", "the orchestrator was ended while it ran")


def test_one_that_is_stopped_cancels_what_runs_and_tells_it(own: Workbench) -> None:
    runs = [own.start_run("forever"), own.start_run("forever")]
    own.running(runs[0])
    assert own.stop() == 0
    assert [own.run(each)["status"] for each in runs] == ["CANCELLED", "CANCELLED"]


def test_an_agent_that_dies_fails_its_job(own: Workbench) -> None:
    run_id = own.start_run("forever")
    own.running(run_id)
    (agent,) = psutil.Process(own.pid).children()
    steps = agent.children(recursive=True)
    agent.kill()
    run = own.ended(run_id)
    assert run["status"] == "FAILED"
    assert "agent" in run["failureReason"]
    assert "died in the middle of the job" in run["failureReason"]
    assert "SIGKILL" in run["jobs"][0]["errorMessage"]
    until(lambda: not any(lives(each) for each in steps))


def test_a_server_that_is_killed_in_the_middle_costs_no_line(tmp_path: Path) -> None:
    server = LiveServer(tmp_path)
    server.start()
    bench = Workbench(server, tmp_path, "north", FILE, "--agents", "1")
    bench.start()
    try:
        run_id = bench.start_run("counts")
        bench.running(run_id)
        server.kill()
        time.sleep(1)
        server.start()
        assert bench.ended(run_id)["status"] == "SUCCESS"
        assert bench.log(run_id) == [str(number) for number in range(7500)]
    finally:
        bench.stop()
        server.stop()
