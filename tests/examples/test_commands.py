"""What users ask: carried out once, whenever the orchestrator is ended and however often a command comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.administration import Administration
from orchestrator.book import Book
from orchestrator.commands import Commands
from orchestrator.dispatcher import MOST_RUNS, Dispatcher
from orchestrator.orchestrator import Config, Orchestrator
from orchestrator.outbox import AnswerNews, Outbox, RunNews
from orchestrator.registry import Registry
from orchestrator.scaler import BareMetalScaler
from orchestrator.state import StateDirectory
from tests.examples.conftest import Eventually
from tests.examples.scripted_server import Answer, HangUp, ScriptedServer

FILE = """
[w]
repository = "x/y"
inputs.a.default = "1"
inputs.b.required = true
[[w.jobs.build.steps]]
run = "echo $INPUT_A $INPUT_B"

[cron]
repository = "x/y"
triggers = [{ type = "schedule", cron = "0 3 * * *", timezone = "Europe/Berlin" }]
[[cron.jobs.build.steps]]
run = "echo cron"

[gpu]
repository = "x/y"
[[gpu.jobs.build.steps]]
run = "echo"
[gpu.jobs.train]
runs-on = ["gpu"]
steps = [{ run = "echo" }]
"""


class Life:
    """An orchestrator without a server and without agents. A second one in the same folder is the first one restarted."""

    def __init__(self, folder: Path) -> None:
        (folder / "workflows.toml").write_text(FILE)
        self.book = Book(folder / "book.json")
        self.book.load()
        self.outbox = Outbox()
        self.registry = Registry(folder / "workflows.toml", self.book)
        self.registry.load()
        scaler = BareMetalScaler("metal", [], 1, restart_after_seconds=60)
        self.dispatcher = Dispatcher(scaler, self.book, self.outbox, lambda: datetime.now(UTC))
        self.dispatcher.recall(self.registry.workflows)
        self.commands = Commands(
            self.book,
            self.registry,
            self.dispatcher,
            self.outbox,
            Administration(None, folder / "dead-letters.json"),
        )

    def do(self, kind: str, command_id: str = "cmd-1", **payload: Any) -> tuple[bool, str | None]:
        """Whether it succeeded, and what was said."""
        self.commands.carry_out({"id": command_id, "kind": kind, "requestedBy": "me", "payload": payload})
        last = self.outbox.waiting[-1]
        assert isinstance(last, AnswerNews)
        assert last.values["commandId"] == command_id
        return last.values["succeeded"], last.values["message"]

    def run_now(
        self, command_id: str = "cmd-1", run_id: str = "r-1", **inputs: str
    ) -> tuple[bool, str | None]:
        return self.do("RUN_NOW", command_id, registrationId="w", runId=run_id, inputs={"b": "2"} | inputs)

    def told(self) -> list[tuple[str, str]]:
        """Run and status of the reports that wait to be sent."""
        reports = [news.values for news in self.outbox.waiting if isinstance(news, RunNews)]
        return [(values["runId"], values["status"]) for values in reports]


async def test_a_command_that_comes_again_is_answered_again_and_done_once(tmp_path: Path) -> None:
    life = Life(tmp_path)
    assert life.run_now() == life.run_now() == (True, None)
    assert life.told() == [("r-1", "PENDING")]
    assert life.dispatcher.queued_jobs == 1
    # Ended the hard way between doing and answering: it comes again, and the run it made goes on.
    again = Life(tmp_path)
    assert again.told() == [("r-1", "PENDING")]
    assert again.run_now() == (True, None)
    assert again.told() == [("r-1", "PENDING")]
    assert again.dispatcher.queued_jobs == 1


async def test_switching_and_deleting_are_remembered(tmp_path: Path) -> None:
    life = Life(tmp_path)
    assert life.do("SET_ENABLED", "cmd-1", registrationId="w", enabled=False) == (True, None)
    assert life.do("DELETE", "cmd-2", registrationId="cron", cancelActiveRuns=False, runIds=[]) == (
        True,
        None,
    )
    assert life.do("DELETE", "cmd-3", registrationId="cron", cancelActiveRuns=False, runIds=[])[0] is False
    again = Life(tmp_path)
    assert list(again.registry.workflows) == ["w", "gpu"]
    assert not again.registry.is_enabled("w")
    assert again.run_now() == (True, None)


async def test_deleting_may_cancel_what_is_active(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.run_now("cmd-1", "r-1")
    life.run_now("cmd-2", "r-2")
    told = life.do("DELETE", "cmd-3", registrationId="w", cancelActiveRuns=True, runIds=["r-1", "gone"])
    assert told == (True, "active runs that are cancelled: 2")
    assert set(life.told()) == {
        (run, status) for run in ("r-1", "r-2") for status in ("PENDING", "CANCELLED")
    }
    assert life.do("CANCEL", "cmd-4", runId="r-1", force=False)[0] is False
    # The ends are told until the server has them, also by the next life.
    assert set(Life(tmp_path).told()) == {("r-1", "CANCELLED"), ("r-2", "CANCELLED")}


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        ("RUN_NOW", {"registrationId": "nobody", "runId": "r", "inputs": {}}, "no workflow 'nobody'"),
        ("RUN_NOW", {"registrationId": "w", "runId": "r", "inputs": {}}, "input 'b' is required"),
        ("RUN_NOW", {"registrationId": "w"}, "not understood"),
        ("RERUN", {"registrationId": "w", "runId": "r", "inputs": None}, "not understood"),
        ("CANCEL", {"runId": "nothing", "force": True}, "no such run"),
        ("PAINT", {}, "can't do PAINT"),
    ],
)
async def test_what_cannot_be_done_is_answered_with_the_reason(
    kind: str, payload: dict[str, Any], said: str, tmp_path: Path
) -> None:
    life = Life(tmp_path)
    succeeded, message = life.do(kind, **payload)
    assert not succeeded
    assert message is not None
    assert said in message
    assert Life(tmp_path).do(kind, **payload) == (False, message)


async def test_there_is_a_bound_to_the_runs_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.dispatcher.MOST_RUNS", 2)
    assert MOST_RUNS >= 100
    life = Life(tmp_path)
    assert [life.run_now(f"cmd-{n}", f"r-{n}")[0] for n in range(3)] == [True, True, False]


async def test_labels_that_nobody_has_fail_the_job_at_once(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.do("RUN_NOW", registrationId="gpu", runId="r-1", inputs={})
    last = [news.values for news in life.outbox.waiting if isinstance(news, RunNews)][-1]
    (job,) = last["jobs"]
    assert (job["jobId"], job["status"]) == ("train", "FAILED")
    assert job["errorMessage"] == "no agent here has the label 'gpu'"
    assert life.dispatcher.queued_jobs == 1


@asynccontextmanager
async def orchestrator(
    server: ScriptedServer, folder: Path, now: list[datetime], agents: int = 1
) -> AsyncIterator[Orchestrator]:
    (folder / "workflows.toml").write_text(FILE)
    names = [f"a-{number}" for number in range(agents)]
    scaler = BareMetalScaler("metal", names, max(agents, 1), restart_after_seconds=60)
    config = Config(server.url, "kgq_x", "lab", None, 0.2)
    it = Orchestrator(config, scaler, StateDirectory(folder), folder / "workflows.toml", lambda: now[0])
    task = asyncio.create_task(it.run())
    try:
        yield it
    finally:
        it.stop("the test is over")
        await asyncio.wait_for(asyncio.shield(task), 60)


def reports(server: ScriptedServer) -> list[Answer]:
    return [run for call in server.sent("ReportRuns") for run in call["runs"]]


async def test_a_schedule_fires_by_itself_once_and_not_when_disabled(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    now = [datetime(2026, 6, 1, 0, 59, tzinfo=UTC)]  # 02:59 in Berlin
    async with orchestrator(server, tmp_path, now) as it:
        await eventually(lambda: server.sent("Heartbeat"))
        assert reports(server) == []
        now[0] = datetime(2026, 6, 1, 1, 0, 1, tzinfo=UTC)
        await eventually(lambda: any(run["status"] == "SUCCESS" for run in reports(server)))
        assert {(run["triggerType"], run["workflowName"]) for run in reports(server)} == {
            ("schedule", "cron")
        }
        assert len({run["runId"] for run in reports(server)}) == 1
        assert [part["lines"] for call in server.sent("ReportLogs") for part in call["parts"]] == [["cron"]]
        it.registry.set_enabled("cron", enabled=False)
        seen = len(server.sent("Heartbeat"))
        now[0] = datetime(2026, 6, 2, 1, 0, 1, tzinfo=UTC)
        await eventually(lambda: len(server.sent("Heartbeat")) > seen + 5)
        assert len({run["runId"] for run in reports(server)}) == 1
    versions = [beat["registryVersion"] for beat in server.sent("Heartbeat")]
    assert (versions[0], versions[-1]) == ("1", "2")
    first, second = server.sent("ReportWorkflows")
    assert (first["full"], len(first["workflows"])) == (True, 3)
    assert (second["full"], [each["name"] for each in second["workflows"]]) == (False, ["cron"])


async def test_commands_are_followed_by_cursor_over_drops(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    def command(number: int) -> Answer:
        payload = {"registrationId": "w", "enabled": number % 2 == 0}
        return {"id": f"cmd-{number}", "kind": "SET_ENABLED", "requestedBy": "me", "payload": payload}

    def frame(cursor: str, *events: int, snapshot: tuple[int, ...] | None = None) -> Answer:
        listed = None if snapshot is None else {"commands": [command(each) for each in snapshot]}
        return {
            "kind": "EVENTS",
            "cursor": cursor,
            "snapshot": listed,
            "events": [{"command": command(each)} for each in events],
        }

    server.root = "commands"
    server.streams = [
        [frame("c1", snapshot=(1,)), frame("c2", 2), 1011],
        [frame("c3", 2, 3), "complete"],
        [frame("c4", snapshot=(3, 4))],
    ]
    server.answers["CompleteCommand"] = [HangUp]
    async with orchestrator(server, tmp_path, [datetime.now(UTC)], agents=0) as it:
        await eventually(
            lambda: (
                {call["commandId"] for call in server.sent("CompleteCommand")}
                == {"cmd-1", "cmd-2", "cmd-3", "cmd-4"}
            )
        )
        assert it.registry.version == "5"  # each was done once
        assert it.registry.is_enabled("w")
    assert server.subscriptions[0]["after"] is None
    assert {each["after"] for each in server.subscriptions[1:]} <= {"c1", "c2", "c3", None}
    assert server.subscriptions[-1]["after"] == "c3"
