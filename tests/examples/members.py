"""Orchestrators of clusters that have settings: real ones, and what the server shows of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.examples.live_server import LiveServer
from tests.examples.workbench import Workbench
from tests.governed import SURFACES

WORKFLOWS = '[build]\nrepository = "acme/{mark}"\n[[build.jobs.one.steps]]\nrun = "echo hello"\n'
SETTINGS = """
[policy]
mark = "{mark}"
[writes]
"backends.sync" = {allowed}
[[environments]]
name = "{mark}"
variables = ["VAR_{mark}"]
[global_workflows]
enabled = true
allowed = ["{mark}"]
[secrets]
directory = "secrets"
[bindings]
{mark} = ["environment:{mark}"]
"""


RENAME = """mutation ($input: ClusterRenameInput!) { answer: clusterRename(input: $input) { __typename
    ... on ClusterRenameSuccess { cluster { id name pendingName } instructions { line } } ... on Error { code } } }"""


class Local(Workbench):
    """One orchestrator of a cluster, with settings, secrets and dead letters that have its cluster's mark in them."""

    def __init__(
        self, server: LiveServer, folder: Path, cluster: str, instance: str, mark: str, allowed: str = "true"
    ) -> None:
        self.instance = instance
        (folder / instance).mkdir()
        settings = folder / instance / "settings.toml"
        settings.write_text(SETTINGS.format(mark=mark, allowed=allowed))
        self.secrets = folder / instance / "secrets"
        (self.secrets / mark).mkdir(parents=True)
        (self.secrets / mark / f"name_{mark}").write_text(f"value-{mark}")
        more = ("--instance-id", instance, "--agents", "1", "--settings", str(settings))
        super().__init__(server, folder / instance, cluster, WORKFLOWS.format(mark=mark), *more)
        (self.folder / "state").mkdir()
        letter = {"id": mark, "event": "push", "workflow": "build"}
        (self.folder / "state" / "dead-letters.json").write_text(json.dumps([letter]))

    @property
    def name(self) -> str:
        """The cluster name that it keeps."""
        found: str = json.loads((self.folder / "state" / "orchestrator.json").read_text())["clusterName"]
        return found

    def set_name(self, name: str) -> None:
        """What its operator does on its host."""
        command = [sys.executable, "-m", "kici_gql", "cluster-name", "set", name]
        subprocess.run([*command, "--state-dir", self.folder / "state"], check=True, capture_output=True)


def connected(server: LiveServer) -> set[str]:
    nodes = server.execute("{ org { orchestrators { nodes { instanceId connected } } } }")["org"][
        "orchestrators"
    ]
    return {each["instanceId"] for each in nodes["nodes"] if each["connected"]}


def asked(server: LiveServer, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A cluster with all its surfaces, and by surface the code of its error."""
    answer = httpx.post(
        f"{server.url}/graphql",
        json={"query": SURFACES, "variables": {"name": name}},
        headers={"Authorization": f"Bearer {server.admin}"},
        timeout=10,
    ).json()
    errors = {each["path"][-1]: each["extensions"]["code"] for each in answer.get("errors", ())}
    return answer["data"]["org"]["cluster"] or {}, errors


def marks(server: LiveServer, name: str) -> set[str]:
    """The marks that a cluster's surfaces show, all of them together; empty while one of them shows none."""
    cluster, errors = asked(server, name)
    if errors or not cluster:
        return set()
    shown = {
        "securityPolicy": [each["value"] for each in cluster["securityPolicy"]["settings"]],
        "environments": [each["name"] for each in cluster["environments"]["nodes"]],
        "secretScopes": [each["name"] for each in cluster["secretScopes"]["nodes"]],
        "secretNames": [
            name.removeprefix("name_")
            for each in cluster["secretScopes"]["nodes"]
            for name in each["secretNames"]
        ],
        "deadLetters": [each["id"] for each in cluster["deadLetters"]["nodes"]],
        "globalWorkflows": cluster["globalWorkflows"]["allowedRepositories"],
        "secretBackends": [scope for each in cluster["secretBackends"] for scope in each["scopes"]],
        "registrations": [each["name"] for each in cluster["registrations"]["nodes"]],
    }
    if not all(shown.values()):
        return set()
    assert shown.pop("registrations") == ["build"]
    return {mark for each in shown.values() for mark in each}


def cluster_id(server: LiveServer, name: str) -> str:
    id_: str = asked(server, name)[0]["id"]
    return id_


def backend_of(server: LiveServer, name: str, kind: str = "files") -> str:
    found = asked(server, name)[0]["secretBackends"]
    id_: str = next(each["id"] for each in found if each["name"] == kind)
    return id_
