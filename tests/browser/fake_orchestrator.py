"""An orchestrator that does what the tests need: it says what it is told to say, and obeys commands at once."""

import threading
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

HOST = {
    "hostname": "build-1",
    "platform": "linux",
    "arch": "x64",
    "cpuCount": 8,
    "memoryTotalMb": 16384,
    "runningAs": "kici",
}

_ERROR = "... on Error { code message path }"


class FakeOrchestrator:
    """One connection of one orchestrator to a server."""

    def __init__(
        self, url: str, token: str, cluster: str = "north", instance: str = "orchestrator-1"
    ) -> None:
        self.cluster = cluster
        self.instance = instance
        self.refusal: str | None = None  # what it answers to a wish to switch a workflow
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
        self._connection_id = ""
        self._agents: list[str] = []
        self._memory_mb = 1000
        self._following: threading.Thread | None = None
        self._stopped = threading.Event()

    def connect(
        self,
        agents: list[dict[str, Any]] | None = None,
        scalers: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> None:
        scalers = scalers if scalers is not None else [scaler()]
        agents = agents if agents is not None else [agent("agent-1"), agent("agent-2")]
        self._agents = [each["agentId"] for each in agents]
        given = {
            "clusterName": self.cluster,
            "instanceId": self.instance,
            "version": "1.4.2",
            "host": HOST,
            "mode": "platform",
            "routingKeys": ["github:acme/shop"],
            "scalers": scalers,
            "agents": agents,
        }
        done = self._mutate("orchestratorConnect", given | more, "connectionId")
        self._connection_id = done["connectionId"]
        self.beat()

    def beat(self, memory_mb: int | None = None, agents: list[str] | None = None, **more: Any) -> None:
        """Everybody beats; with `agents`, only those."""
        self._memory_mb = memory_mb or self._memory_mb
        alive = self._agents if agents is None else agents
        beats = [
            {"agentId": each, "memoryUsedMb": self._memory_mb // 4, "uptimeSeconds": 300} for each in alive
        ]
        self._mutate(
            "orchestratorHeartbeat",
            {
                "connectionId": self._connection_id,
                "memoryUsedMb": self._memory_mb,
                "uptimeSeconds": 3600,
                "agents": beats,
            }
            | more,
        )

    def alert(self, key: str, message: str, severity: str = "WARNING", *, resolved: bool = False) -> None:
        alert = {"dedupeKey": key, "message": message, "severity": severity, "resolved": resolved}
        self._mutate("orchestratorReportAlerts", {"connectionId": self._connection_id, "alerts": [alert]})

    def report_workflows(self, *workflows: dict[str, Any], version: str = "1", **more: Any) -> None:
        given = {
            "connectionId": self._connection_id,
            "full": True,
            "registryVersion": version,
            "workflows": list(workflows),
        }
        self._mutate("orchestratorReportWorkflows", given | more)

    def report_run(self, run_id: str, status: str | None = None, **more: Any) -> None:
        run = {"runId": run_id, "at": now()} | ({"status": status} if status else {}) | more
        self._mutate("orchestratorReportRuns", {"connectionId": self._connection_id, "runs": [run]})

    def report_lines(
        self, run_id: str, lines: list[str], first: int = 0, job_id: str = "job-1", step: int = 0
    ) -> None:
        part = {"runId": run_id, "jobId": job_id, "step": step, "firstLine": first, "lines": lines}
        self._mutate("orchestratorReportLogs", {"connectionId": self._connection_id, "parts": [part]})

    def report_settings(self, **settings: Any) -> None:
        self._mutate("orchestratorReportSettings", {"connectionId": self._connection_id} | settings)

    def disconnect(self) -> None:
        self._mutate("orchestratorDisconnect", {"connectionId": self._connection_id})

    # ── Commands ──

    def obey(self) -> None:
        """Do from now on what the server asks for."""
        self._following = threading.Thread(target=self._follow, daemon=True)
        self._following.start()

    def close(self) -> None:
        self._stopped.set()
        self._http.close()

    def _follow(self) -> None:
        document = """subscription ($id: String!) { commands(connectionId: $id) {
            snapshot { commands { ...command } } events { command { ...command } } } }
            fragment command on Command { id kind state payload }"""
        body = {"query": document, "variables": {"id": self._connection_id}}
        try:
            with self._http.stream(
                "POST", "/graphql", json=body, headers={"accept": "text/event-stream"}, timeout=None
            ) as response:
                for line in response.iter_lines():
                    if line.startswith("data:") and (data := orjson.loads(line[5:] or "{}").get("data")):
                        self._obey_frame(data["commands"])
        except (httpx.HTTPError, RuntimeError):
            assert self._stopped.is_set()

    def _obey_frame(self, frame: dict[str, Any]) -> None:
        commands = [event["command"] for event in frame["events"]]
        if frame["snapshot"]:
            commands += frame["snapshot"]["commands"]
        for command in commands:
            if command["state"] == "PENDING":
                self._obey(command)

    def _obey(self, command: dict[str, Any]) -> None:
        payload = command["payload"]
        do = getattr(self, f"_do_{command['kind'].lower()}")
        message = do(payload)
        self._mutate(
            "orchestratorCompleteCommand",
            {
                "connectionId": self._connection_id,
                "commandId": command["id"],
                "succeeded": message is None,
                "message": message,
            },
        )

    def _do_run_now(self, payload: dict[str, Any]) -> str | None:
        """A run that says hello, and waits in its second step to be finished or cancelled."""
        run_id = payload["runId"]
        started = {"status": "RUNNING", "startedAt": now()}
        job = {"jobId": "job-1", "name": "build", "agentId": "agent-1"} | started
        steps = [{"number": 0, "name": "greet"} | started]
        self.report_run(run_id, jobs=[job | {"steps": steps}], **started)
        self.report_lines(run_id, ["hello", "\x1b[32mworld\x1b[0m"])
        return None

    def _do_rerun(self, payload: dict[str, Any]) -> str | None:
        return self._do_run_now(payload)

    def _do_cancel(self, payload: dict[str, Any]) -> str | None:
        self.finish(payload["runId"], "CANCELLED")
        return None

    def _do_set_enabled(self, _: dict[str, Any]) -> str | None:
        return self.refusal

    def _do_backend_test(self, _: dict[str, Any]) -> str | None:
        return self.refusal

    def _do_backend_sync(self, _: dict[str, Any]) -> str | None:
        return self.refusal

    def _do_rename(self, _: dict[str, Any]) -> str | None:
        return self.refusal

    def _do_dead_letter_retry(self, _: dict[str, Any]) -> str | None:
        self.report_settings(deadLetters=[])
        return None

    def _do_delete(self, payload: dict[str, Any]) -> str | None:
        for run_id in payload["runIds"]:
            self.finish(run_id, "CANCELLED")
        return None

    def finish(self, run_id: str, status: str = "SUCCESS") -> None:
        """End a run and its job."""
        ended = {"status": status, "completedAt": now()}
        job = {"jobId": "job-1"} | ended
        self.report_run(run_id, jobs=[job | {"steps": [{"number": 0} | ended]}], **ended)

    # ── The wire ──

    def _mutate(self, name: str, given: dict[str, Any], fields: str = "__typename") -> dict[str, Any]:
        title = name[0].upper() + name[1:]
        document = f"""mutation ($input: {title}Input!) {{ {name}(input: $input) {{
            __typename ... on {title}Success {{ {fields} }} {_ERROR} }} }}"""
        answer = self._http.post("/graphql", json={"query": document, "variables": {"input": given}}).json()
        assert "errors" not in answer, answer["errors"]
        payload: dict[str, Any] = answer["data"][name]
        assert payload["__typename"] == f"{title}Success", payload
        return payload


def scaler(name: str = "pool", **more: Any) -> dict[str, Any]:
    given = {
        "name": name,
        "type": "CONTAINER",
        "maxAgents": 4,
        "labels": ["gpu", "kici:os:linux"],
        "hosts": ["build-1"],
        "configSummary": [{"key": "image", "value": "runner:24.04"}],
    }
    return given | more


def agent(agent_id: str, scaler_name: str | None = "pool", **more: Any) -> dict[str, Any]:
    given = {
        "agentId": agent_id,
        "scaler": scaler_name,
        "version": "1.4.2",
        "host": HOST,
        "labels": ["gpu", "kici:os:linux"],
        "maxConcurrency": 2,
    }
    return given | more


def workflow(name: str, **more: Any) -> dict[str, Any]:
    given = {
        "registrationId": f"registration-{name}",
        "name": name,
        "repository": "acme/shop",
        "triggers": [{"type": "push", "config": {"branches": ["main"]}}],
        "sourceFile": f".kici/{name}.ts",
        "commitSha": "0123456789abcdef0123456789abcdef01234567",
    }
    return given | more


def now() -> str:
    return datetime.now(UTC).isoformat()
