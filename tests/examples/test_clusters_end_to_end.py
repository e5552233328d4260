"""Clusters of real orchestrators on a real server: their settings, their coming and going, their names, their secrets."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.follower import Follower
from tests.examples.live_server import LiveServer
from tests.examples.members import RENAME, Local, asked, backend_of, cluster_id, connected, marks
from tests.examples.workbench import until as soon

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]

until = partial(soon, seconds=60)  # seven programs start at once

SURFACE_NAMES = {
    "securityPolicy",
    "environments",
    "secretScopes",
    "deadLetters",
    "globalWorkflows",
    "secretBackends",
    "registrations",
}
STREAM = """subscription { secretBackends { kind cursor
    snapshot { secretBackends { name scopes cluster { id name } } }
    events { __typename
        ... on SecretBackendChanged { secretBackend { name scopes lastSyncAt cluster { id name } } }
        ... on SurfaceChanged { clusterId surface }
        ... on ClusterConnectionChanged { clusterId connected clusterConnected } } } }"""

INFRASTRUCTURE = """subscription { infrastructure { kind
    events { ... on OrchestratorChanged { orchestrator { instanceId liveness { state } } } } } }"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    patient = {"heartbeat_interval_seconds": "30", "lost_after_seconds": "180"}  # as by default
    started = LiveServer(tmp_path_factory.mktemp("server"), bookmark_seconds="1", **patient)
    try:
        started.start()
        yield started
    finally:
        started.stop()


class Trio:
    """Two siblings of one cluster and one orchestrator of another, with names that no other test has."""

    numbers = count(1)

    def __init__(self, server: LiveServer, folder: Path) -> None:
        number = next(self.numbers)
        self.server = server
        self.prod, self.lab = f"prod-{number}", f"lab-{number}"
        self.one = Local(server, folder, self.prod, f"one-{number}", "red")
        self.two = Local(server, folder, self.prod, f"two-{number}", "red")
        self.three = Local(server, folder, self.lab, f"three-{number}", "blue", allowed="false")

    @property
    def all(self) -> list[Local]:
        return [self.one, self.two, self.three]

    @property
    def connected(self) -> list[Local]:
        there = connected(self.server)
        return [each for each in self.all if each.instance in there]


@pytest.fixture
def trio(server: LiveServer, tmp_path: Path) -> Iterator[Trio]:
    """All three connected, and all their settings told."""
    made = Trio(server, tmp_path)
    try:
        for each in made.all:
            each.start()
        until(lambda: made.connected == made.all)
        until(lambda: (marks(server, made.prod), marks(server, made.lab)) == ({"red"}, {"blue"}))
        yield made
    finally:
        for each in made.all:
            if each.process is not None and each.process.poll() is None:
                each.kill()


def test_each_cluster_shows_its_own_over_query_and_stream(server: LiveServer, trio: Trio) -> None:
    _, viewer = server.token("VIEWER")
    follower = Follower(server, viewer, STREAM)
    try:
        until(lambda: follower.frames)
        first = follower.frames[0]["snapshot"]["secretBackends"]
        assert shown(first) == {(trio.prod, "red"), (trio.lab, "blue")}
        # What the operator of one changes is told of this one alone.
        (trio.three.secrets / "violet").mkdir()
        asked_for = trio.three.ask("secretBackendSync", secretBackendId=backend_of(server, trio.lab))
        until(lambda: trio.three.command(asked_for)[0] == "SUCCEEDED")
        until(lambda: any("secretBackend" in each for each in follower.events))
        changed = [each["secretBackend"] for each in follower.events if "secretBackend" in each]
        assert shown(changed) == {(trio.lab, "blue", "violet")}
        assert marks(server, trio.prod) == {"red"}
        # Its policy forbids reading all backends from outside; the other's does not.
        done = trio.one.ask("secretBackendSyncAll", clusterId=cluster_id(server, trio.prod))
        until(lambda: trio.one.command(done)[0] == "SUCCEEDED")
        answer = server.execute(
            """mutation ($id: ID!) { answer: secretBackendSyncAll(input: {clusterId: $id}) {
                ... on OperationDisabled { code operation commandLine } } }""",
            id=cluster_id(server, trio.lab),
        )["answer"]
        assert answer == {
            "code": "OPERATION_DISABLED",
            "operation": "backends.sync",
            "commandLine": "kici-admin backend sync",
        }
    finally:
        follower.close()


def shown(backends: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """Cluster and scopes of each backend, without those of other tests."""
    return {(each["cluster"]["name"], *each["scopes"]) for each in backends if each["scopes"]}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_siblings_go_one_after_the_other(server: LiveServer, trio: Trio, how: signal.Signals) -> None:
    """A goodbye and a sudden death both count at once; then nothing is shown any more, until they are back."""
    _, viewer = server.token("VIEWER")
    follower = Follower(server, viewer, STREAM)
    prod = cluster_id(server, trio.prod)

    def told() -> list[tuple[bool, bool]]:
        events = [each for each in follower.events if each["__typename"] == "ClusterConnectionChanged"]
        return [(each["connected"], each["clusterConnected"]) for each in events if each["clusterId"] == prod]

    try:
        until(lambda: follower.frames)
        os.kill(trio.one.pid, how)
        until(lambda: trio.connected == [trio.two, trio.three])
        assert marks(server, trio.prod) == {"red"}, "the sibling vouches for what was told"
        until(lambda: (False, True) in told())
        os.kill(trio.two.pid, how)
        until(lambda: (False, False) in told())
        # The stream has said so: from now on no query shows anything.
        cluster, errors = asked(server, trio.prod)
        assert errors == dict.fromkeys(SURFACE_NAMES, "CLUSTER_DISCONNECTED")
        assert cluster["connected"] is False
        expected = "stopped by SIGTERM" if how is signal.SIGTERM else "ended without a goodbye"
        assert expected in cluster["disconnectedReason"]
        assert marks(server, trio.lab) == {"blue"}
        backends = server.execute("{ org { secretBackends { cluster { name } } } }")["org"]["secretBackends"]
        assert trio.prod not in str(backends)
        assert trio.lab in str(backends)
    finally:
        follower.close()


def test_a_sudden_death_is_seen_in_the_same_second(server: LiveServer, trio: Trio) -> None:
    """A slow machine may need several tries; a server that waits for heartbeats would need minutes for each."""
    _, viewer = server.token("VIEWER")
    follower = Follower(server, viewer, INFRASTRUCTURE)
    try:
        until(lambda: follower.frames)
        seconds = [killed(server, trio)]
        while seconds[-1] > 1 and len(seconds) < 5:
            seconds.append(killed(server, trio))
        assert min(seconds) < 1, seconds
        turns = [
            (each["orchestrator"]["instanceId"], each["orchestrator"]["liveness"]["state"])
            for each in follower.events
            if "orchestrator" in each
        ]
        both = [trio.one.instance, trio.two.instance]
        for name in both:
            assert turns.count((name, "LOST")) == len(seconds), "the stream said so each time"
            assert turns[::-1].index((name, "ONLINE")) < turns[::-1].index((name, "LOST"))
    finally:
        follower.close()


def killed(server: LiveServer, trio: Trio) -> float:
    """Kill both siblings and start them again. Answers after how many seconds the slower one was found to be gone."""
    took: list[float] = []
    for one in (trio.one, trio.two):
        assert marks(server, trio.prod) == {"red"}, "a sibling vouches for what was told"
        died_at = time.time()
        one.kill()
        took.append(until(partial(gone_at, server, one.instance)) - died_at)
    _, errors = asked(server, trio.prod)
    assert errors == dict.fromkeys(SURFACE_NAMES, "CLUSTER_DISCONNECTED")
    assert alerts(server, trio.prod) == ["OPEN", "OPEN"]
    trio.one.start()
    trio.two.start()
    until(lambda: trio.connected == trio.all)
    until(lambda: marks(server, trio.prod) == {"red"})
    assert alerts(server, trio.prod) == ["RESOLVED", "RESOLVED"]
    return max(took)


def gone_at(server: LiveServer, instance: str) -> float | None:
    """When it was found to be gone, by the clock that the test has too; None while it is there."""
    found = server.execute("{ org { orchestrators { nodes { instanceId disconnectedAt } } } }")["org"]
    at = {each["instanceId"]: each["disconnectedAt"] for each in found["orchestrators"]["nodes"]}[instance]
    return None if at is None else datetime.fromisoformat(at).timestamp()


def alerts(server: LiveServer, cluster: str) -> list[str]:
    """States of the alerts about orchestrators of the cluster that went away."""
    document = "{ org { alerts(first: 100) { nodes { kind state clusterId } } } }"
    found = server.execute(document)["org"]["alerts"]["nodes"]
    home = cluster_id(server, cluster)
    return [
        each["state"]
        for each in found
        if (each["clusterId"], each["kind"]) == (home, "ORCHESTRATOR_DISCONNECTED")
    ]


def test_a_rename_end_to_end(server: LiveServer, trio: Trio) -> None:
    one, two = trio.one, trio.two
    bookmark = cluster_id(server, trio.prod)

    def rename(name: str) -> dict[str, Any]:
        answer: dict[str, Any] = server.execute(RENAME, input={"clusterId": bookmark, "name": name})["answer"]
        return answer

    def present() -> tuple[Any, Any]:
        document = "query ($id: ID!) { node(id: $id) { ... on Cluster { name pendingName } } }"
        found = server.execute(document, id=bookmark)["node"]
        return found["name"], found["pendingName"]

    assert rename(trio.lab)["code"] == "NAME_TAKEN"
    assert rename("live")["instructions"] == [], "they are told"
    until(lambda: present() == ("live", None))
    until(lambda: one.name == two.name == "live")
    until(lambda: trio.connected == trio.all)
    until(lambda: marks(server, "live") == {"red"})
    # One that slept through it comes back with the old name, and is told what it is called now.
    one.stop()
    one.set_name(trio.prod)
    one.start()
    until(lambda: one.name == "live")
    assert present() == ("live", None)
    # Renamed while all are away: they hear of it when they come.
    one.stop()
    two.stop()
    assert rename("green")["__typename"] == "ClusterRenameSuccess"
    assert present() == ("live", "green")
    one.start()
    until(lambda: present() == ("green", None))
    until(lambda: one.name == "green")
    # On the host itself.
    one.stop()
    one.set_name("teal")
    one.start()
    until(lambda: present() == ("teal", None))
    two.start()
    until(lambda: two.name == "teal")
    assert not {trio.prod, "live", "green"} & set(cluster_names(server))
    assert cluster_id(server, "teal") == bookmark
    for old in (trio.prod, "live", "green"):
        assert hint_for(server, old) == ("RENAMED", "It is teal now.")


def cluster_names(server: LiveServer) -> list[str]:
    found = server.execute("{ org { clusters { nodes { name } } } }")["org"]["clusters"]["nodes"]
    return [each["name"] for each in found]


def hint_for(server: LiveServer, name: str) -> tuple[str, str]:
    answer = httpx.post(
        f"{server.url}/graphql",
        json={"query": f'{{ org {{ cluster(name: "{name}") {{ id }} }} }}'},
        headers={"Authorization": f"Bearer {server.admin}"},
        timeout=10,
    ).json()
    [error] = answer["errors"]
    return error["extensions"]["code"], error["extensions"]["hint"]
