"""Workflows on a real server, as a user meets them: asked for, watched, cancelled."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.examples.conftest import EXAMPLES, PATIENCE_SECONDS
from tests.examples.live_server import LiveServer
from tests.walk import TYPES

FINAL = {"SUCCESS", "FAILED", "CANCELLED"}

_RUN = """query ($id: ID!) { node(id: $id) { ... on Run {
    status failureReason cancelledBy triggerType triggeredBy durationMs externalId inputs { key value }
    parent { id } jobs { id externalId name status agentId errorMessage startedAt completedAt
        steps { number name status exitCode errorMessage durationMs } } } } }"""
_LOG = """query ($id: ID!, $step: Int!, $after: Int!) { node(id: $id) { ... on Job {
    log(step: $step, first: 1000, after: $after) { lines { number text } gaps { fromLine } hasMore } } } }"""
_ASKED = "{ __typename ... on Asked { command { id } } ... on Error { code message } }"


def until(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What the condition gives when it gives anything, within the time that tests have."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.03)
    return found


class Workbench:
    """One cluster with one orchestrator, whose process may come and go."""

    def __init__(self, server: LiveServer, folder: Path, cluster: str, workflows: str, *more: str) -> None:
        self.server = server
        self.folder = folder / cluster
        self.folder.mkdir()
        self.cluster = cluster
        self.file = self.folder / "workflows.toml"
        self.file.write_text(workflows)
        self.more = more
        _, self.token = server.token("ORCHESTRATOR")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What the orchestrator has printed, in all its lives."""
        return (self.folder / "output").read_text()

    @property
    def marks(self) -> Path:
        """A file that steps find as $MARKS."""
        return self.folder / "marks"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
        environment |= {
            "KICI_GQL_URL": self.server.url,
            "KICI_GQL_TOKEN": self.token,
            "MARKS": str(self.marks),
        }
        command: list[str | Path] = [
            sys.executable, EXAMPLES / "local_orchestrator.py", "--cluster", self.cluster,
            "--instance-id", self.cluster, "--state-dir", self.folder / "state", "--workflows", self.file, *self.more,
        ]  # fmt: skip
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(command, env=environment, stderr=output)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in good order. Answers the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(15)

    def workflows(self) -> dict[str, dict[str, Any]]:
        document = """{ org { workflows(first: 100) { nodes {
            id name enabled nextFireAt sourceFile triggerTypes cluster { name } } } } }"""
        found = self.server.execute(document)["org"]["workflows"]["nodes"]
        return {each["name"]: each for each in found if each["cluster"]["name"] == self.cluster}

    def workflow(self, name: str) -> str:
        """Its global id, as soon as there is one."""
        found: str = until(lambda: self.workflows().get(name))["id"]
        return found

    def run_now(self, name: str, **inputs: str) -> dict[str, Any]:
        document = """mutation ($input: WorkflowRunNowInput!) { answer: workflowRunNow(input: $input) {
            __typename ... on WorkflowRunNowSuccess { wasDisabled run { id status } command { id state } }
            ... on Error { code message } } }"""
        values = [{"name": key, "value": value} for key, value in inputs.items()]
        given = {"workflowId": self.workflow(name), "inputs": values}
        answer: dict[str, Any] = self.server.execute(document, input=given)["answer"]
        assert answer["__typename"] == "WorkflowRunNowSuccess", answer
        return answer

    def start_run(self, name: str, **inputs: str) -> str:
        run_id: str = self.run_now(name, **inputs)["run"]["id"]
        return run_id

    def ask(self, mutation: str, **values: Any) -> str:
        """Send one of the other wishes. Answers the id of its command."""
        kind = TYPES["Mutation"].fields[mutation].args["input"].type
        document = f"mutation ($input: {kind}) {{ answer: {mutation}(input: $input) {_ASKED} }}"
        answer = self.server.execute(document, input=values)["answer"]
        assert "command" in answer, answer
        command_id: str = answer["command"]["id"]
        return command_id

    def command(self, command_id: str) -> tuple[str, str | None]:
        document = "query ($id: ID!) { node(id: $id) { ... on Command { state message } } }"
        found = self.server.execute(document, id=command_id)["node"]
        return found["state"], found["message"]

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.execute(_RUN, id=run_id)["node"]
        return found

    def running(self, run_id: str) -> dict[str, Any]:
        """The run, as soon as some of its output is there."""
        until(lambda: self.run(run_id)["jobs"])
        until(lambda: self.log(run_id))
        return self.run(run_id)

    def ended(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = until(lambda: run if (run := self.run(run_id))["status"] in FINAL else None)
        return found

    def log(self, run_id: str, job: int = 0, step: int = 0) -> list[str]:
        """All lines of a step, which must not have holes."""
        job_id = self.run(run_id)["jobs"][job]["id"]
        lines: list[str] = []
        while True:
            page = self.server.execute(_LOG, id=job_id, step=step, after=len(lines) - 1)["node"]["log"]
            assert page["gaps"] == []
            for line in page["lines"]:
                assert line["number"] == len(lines)
                lines.append(line["text"])
            if not page["hasMore"]:
                return lines

    def book(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state" / "book.json").read_text())
        return found
