"""Clusters as clients see them: names and bookmarks, what each may show, and what its operator forbids."""

from typing import Any

import pytest

from kici_gql.actions import commands, orchestrators
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.tables import Cluster, Command, SecretBackend
from tests.governed import backend, everything, letter, policy, report
from tests.running import Cluster as Running
from tests.running import workflow_of
from tests.walk import TYPES, Walk
from tests.world import Clock, World, agent, connecting, host, scaler

# What KiCI's dashboard shows of an org and of a cluster (DESIGN, section 3).
OF_AN_ORG = (
    "cursor clusters cluster orchestrators agents workflows workflowRegistry runs run alerts executionMetrics "
    "secretBackends commands auditLog"
)
OF_A_CLUSTER = (
    "name autoNamed pendingName connected orchestrators scalers agents version mode routingKeys lastHeartbeatAt "
    "workflowRegistry securityPolicy environments secretScopes deadLetters registrations globalWorkflows secretBackends"
)
ROWS = {f"Org.{name}" for name in OF_AN_ORG.split()} | {f"Cluster.{name}" for name in OF_A_CLUSTER.split()}
GIVEN = {"Org.cluster": 'name: "prod"', "Org.run": 'id: "r1"'}


async def furnished(world: World) -> str:
    """A cluster `prod` that has told everything; answers its connection."""
    connection = await world.connect(scalers=[scaler()], agents=[agent()])
    await world.beat(connection, ["a1"])
    await report(world, connection, **everything("m"))
    one = Running(world, connection)
    await one.workflows(workflow_of(), full=True, registry_version="1")
    await one.running("r1")
    return connection


async def test_every_row_of_kicis_pages_is_one_query_away(any_world: World) -> None:
    await furnished(any_world)
    walk = Walk("Org", GIVEN)
    assert ROWS - walk.reached == set()
    answer = await any_world.run(f"{{ org {{ {walk.query} }} }}")
    # What a step or a run may ask with more arguments apart, nothing is refused, and no surface is silent.
    assert answer.get("errors", []) == []
    [prod] = answer["data"]["org"]["clusters"]["nodes"]
    for name in OF_A_CLUSTER.split():
        assert prod[name] is not None or name == "pendingName", name
    for name in OF_AN_ORG.split():
        assert answer["data"]["org"][name] is not None, name


async def test_the_walk_notices_a_row_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TYPES["Cluster"].fields, "deadLetters")
    assert ROWS - Walk("Org", GIVEN).reached == {"Cluster.deadLetters"}


# ── Names ──

BY_NAME = "query ($name: String!) { org { cluster(name: $name) { id name pendingName createdAt } } }"
BY_ID = """query ($id: ID!) { node(id: $id) { id ... on Cluster { name pendingName createdAt autoNamed
    alerts { nodes { id message } } registrations { nodes { name runs { totalCount } } } } } }"""
RENAME = """mutation ($input: ClusterRenameInput!) { clusterRename(input: $input) { __typename
    ... on ClusterRenameSuccess { cluster { id name pendingName } commands { kind payload } instructions { hostname line } }
    ... on VersionConflict { current { id } } ... on Error { code message path hint } } }"""


async def cluster_id(world: World, name: str = "prod") -> str:
    id_: str = (await world.data(BY_NAME, name=name))["org"]["cluster"]["id"]
    return id_


async def rename(world: World, id_: str, name: str, **more: Any) -> dict[str, Any]:
    values = {"clusterId": id_, "name": name, **more}
    answer: dict[str, Any] = (await world.data(RENAME, world.viewer("OPERATOR"), input=values))[
        "clusterRename"
    ]
    return answer


async def test_a_bookmark_outlives_a_rename(world: World) -> None:
    connection = await furnished(world)
    await report(world, connection, dead_letters=[letter("l1"), letter("l2")])  # an alert to remember
    bookmark = await cluster_id(world)
    before = (await world.data(BY_ID, id=bookmark))["node"]
    assert before["alerts"]["nodes"]
    answer = await rename(world, bookmark, "live")
    assert answer["cluster"] == {"id": bookmark, "name": "prod", "pendingName": "live"}
    assert answer["commands"] == [{"kind": "RENAME", "payload": {"clusterName": "live"}}]
    assert answer["instructions"] == [], "it is told by its command"
    pending = (await world.data(BY_ID, id=bookmark))["node"]
    assert pending == before | {"pendingName": "live"}
    await world.connect("live", scalers=[scaler()], agents=[agent()])
    await Running(world, (await world.connect("live", "two"))).workflows(
        workflow_of(), full=True, registry_version="1"
    )
    after = (await world.data(BY_ID, id=bookmark))["node"]
    assert after == before | {"name": "live", "pendingName": None}
    assert await cluster_id(world, "live") == bookmark


async def test_an_old_name_says_what_it_is_now(world: World, clock: Clock) -> None:
    await world.connect()
    await rename(world, await cluster_id(world), "live")
    await world.connect("live")
    answer = await world.run(BY_NAME, name="prod")
    [error] = answer["errors"]
    assert answer["data"] == {"org": {"cluster": None}}
    assert error["extensions"]["code"] == "RENAMED"
    assert error["extensions"]["hint"] == "It is live now."
    assert error["path"] == ["org", "cluster"]
    with pytest.raises(RequestRefused) as refused:
        await anext(world.frames('subscription { infrastructure(cluster: "prod") { kind } }'))
    assert [each["extensions"]["code"] for each in refused.value.errors] == ["RENAMED"]
    # Twice renamed, the first name still leads to the present one, and after 30 days to nobody.
    await rename(world, await cluster_id(world, "live"), "blue")
    await world.connect("blue")
    [error] = (await world.run(BY_NAME, name="prod"))["errors"]
    assert error["extensions"]["hint"] == "It is blue now."
    clock.advance(30 * 24 * 3600)
    assert await world.data(BY_NAME, name="prod") == {"org": {"cluster": None}}
    assert await world.data(BY_NAME, name="never-was") == {"org": {"cluster": None}}


async def test_refused_renames_are_data(world: World) -> None:
    await world.connect()
    await world.connect("other", "two")
    home = await cluster_id(world)
    taken = await rename(world, home, "other")
    assert (taken["__typename"], taken["code"], taken["path"]) == ("NameTaken", "NAME_TAKEN", ["name"])
    bad = await rename(world, home, "No Good")
    assert (bad["__typename"], bad["path"]) == ("InvalidInput", ["name"])
    stale = await rename(world, home, "live", expectedVersion=99)
    assert (stale["__typename"], stale["current"]) == ("VersionConflict", {"id": home})
    gone = await rename(world, "clu_" + "0" * 32, "live")
    assert gone["__typename"] == "NotFound"
    assert (await world.data(BY_NAME, name="prod"))["org"]["cluster"]["pendingName"] is None


async def test_only_stock_orchestrators_are_renamed_by_hand(world: World) -> None:
    await world.connect("prod", "one")
    stock = connecting("prod", "two", host=host("host-2"))
    await orchestrators.connect(world.call("ORCHESTRATOR"), stock, held_by="another")
    answer = await rename(world, await cluster_id(world), "live")
    assert answer["instructions"] == [{"hostname": "host-2", "line": "kici-admin cluster-name set live"}]


async def test_an_orchestrator_that_was_away_hears_of_the_rename_when_it_connects(world: World) -> None:
    await orchestrators.disconnect(world.call("ORCHESTRATOR"), await world.connect(), "stopped")
    answer = await rename(world, await cluster_id(world), "live")
    assert (answer["commands"], answer["instructions"]) == ([], [])
    told = await world.data(
        """mutation { orchestratorConnect(input: {clusterName: "prod", instanceId: "one", version: "1", host: {
            hostname: "h", runningAs: "ci", platform: "linux", arch: "x", cpuCount: 1, memoryTotalMb: 1}}) {
            ... on OrchestratorConnectSuccess { clusterName orchestrator { cluster { pendingName } } } } }""",
        world.viewer("ORCHESTRATOR"),
    )
    assert told["orchestratorConnect"] == {
        "clusterName": "prod",
        "orchestrator": {"cluster": {"pendingName": "live"}},
    }


# ── What the operator allows ──

WRITES = """query { org { cluster(name: "prod") { securityPolicy { writes { operation allowed state commandLine } } } } }"""
SYNC_ALL = """mutation ($id: ID!) { secretBackendSyncAll(input: {clusterId: $id}) { __typename
    ... on SecretBackendSyncSuccess { command { id kind state } }
    ... on OperationDisabled { operation commandLine } ... on Error { code message hint retryable } } }"""


async def test_a_forbidden_write_names_itself_and_the_line_that_does_it(world: World) -> None:
    connection = await world.connect()
    await report(world, connection, security_policy=policy(backends__sync=False))
    answer = await world.data(SYNC_ALL, world.viewer("OPERATOR"), id=await cluster_id(world))
    assert answer["secretBackendSyncAll"] == {
        "__typename": "OperationDisabled",
        "operation": "backends.sync",
        "commandLine": "kici-admin backend sync",
        "code": "OPERATION_DISABLED",
        "message": "the cluster's operator does not allow backends.sync from outside",
        "hint": "Run on the orchestrator's host: kici-admin backend sync",
        "retryable": False,
    }
    assert await world.rows(Command) == []


async def test_a_policy_shows_every_write_that_can_be_asked_for(world: World) -> None:
    connection = await world.connect()
    await report(world, connection, security_policy=policy(backends__sync=False, secrets__set=False))
    told = (await world.data(WRITES))["org"]["cluster"]["securityPolicy"]["writes"]
    writes = {each["operation"]: each for each in told}
    assert {name for name, each in writes.items() if not each["allowed"]} == {"backends.sync", "secrets.set"}
    assert writes["backends.sync"]["state"] == "DISABLED"
    assert writes["secrets.set"]["commandLine"] is None, "nothing here does that"
    assert writes["event_dlq.retry"] == {
        "operation": "event_dlq.retry",
        "allowed": True,
        "state": "ALLOWED",
        "commandLine": "kici-admin event-dlq retry <event>",
    }


async def test_nobody_there_is_an_error_of_its_own(world: World) -> None:
    connection = await world.connect()
    home = await cluster_id(world)
    await orchestrators.disconnect(world.call("ORCHESTRATOR"), connection, "stopped")
    answer = (await world.data(SYNC_ALL, world.viewer("OPERATOR"), id=home))["secretBackendSyncAll"]
    assert (answer["__typename"], answer["code"], answer["retryable"]) == (
        "ClusterDisconnected", "CLUSTER_DISCONNECTED", True,
    )  # fmt: skip


# ── What is asked of backends and dead letters, on the stream ──

STREAM = """subscription { commands(where: {
        kind: [BACKEND_SYNC, BACKEND_SYNC_ALL, BACKEND_TEST, DEAD_LETTER_RETRY, DEAD_LETTER_DISCARD]}) {
    snapshot { commands { kind state } }
    events { command { kind state message result payload clusterId } } } }"""


async def test_progress_and_result_are_on_the_stream(world: World) -> None:
    connection = await world.connect()
    await report(world, connection, secret_backends=[backend()], dead_letters=[letter("l1")])
    [store] = await world.rows(SecretBackend)
    [home] = await world.rows(Cluster)
    frames = world.frames(STREAM, world.viewer("VIEWER"))
    assert (await anext(frames))["snapshot"] == {"commands": []}
    asked: list[tuple[str, dict[str, str]]] = [
        ("secretBackendSync", {"secretBackendId": store.id}),
        ("secretBackendSyncAll", {"clusterId": home.id}),
        ("deadLetterRetry", {"clusterId": home.id, "deadLetterId": "l1"}),
        ("deadLetterDiscard", {"clusterId": home.id, "deadLetterId": "l1"}),
    ]
    for name, values in asked:
        kind = TYPES["Mutation"].fields[name].args["input"].type
        await world.data(
            f"mutation ($input: {kind}) {{ {name}(input: $input) {{ __typename }} }}", input=values
        )
        [command] = await world.rows(Command, state="PENDING")
        late = world.frames(STREAM)
        snapshot = (await anext(late))["snapshot"]
        assert snapshot["commands"][-1] == {"kind": command.kind, "state": "PENDING"}, (
            "a newcomer sees it, too"
        )
        await late.aclose()
        await commands.deliver(world.store, world.org_id, [command.id])
        succeeded = name != "secretBackendSync"
        await commands.complete(
            world.call("ORCHESTRATOR"), connection, command.id, succeeded, "said so", {"n": 1}
        )
        [*life] = [event["command"] for event in (await anext(frames))["events"]]
        assert [each["state"] for each in life] == [
            "PENDING", "DELIVERED", "SUCCEEDED" if succeeded else "FAILED",
        ]  # fmt: skip
        assert {each["kind"] for each in life} == {command.kind}
        assert (life[-1]["message"], life[-1]["result"], life[-1]["clusterId"]) == (
            "said so",
            {"n": 1},
            home.id,
        )
