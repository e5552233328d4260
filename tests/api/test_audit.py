"""The audit log: every mutation is in it, whatever came of it, and nothing that is secret."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kici_gql.api.schema import schema
from kici_gql.rules.permissions import ACTIONS, allowed
from kici_gql.tables import Alert, Audit, AuditOutcome, Cluster, Command, Orchestrator, Prefix, Run, Token
from kici_gql.tables import SecretBackend as Backend
from kici_gql.tables import TokenScope as Scope
from kici_gql.tables import Workflow as WorkflowRow
from tests.world import Clock, World

HOST = {
    "hostname": "h",
    "runningAs": "ci",
    "platform": "linux",
    "arch": "x",
    "cpuCount": 1,
    "memoryTotalMb": 1,
}
BACKEND = {"name": "files", "type": "files", "connected": True, "health": "HEALTHY"}
# A secret of a known shape, and one that looks like any other word.
CANARIES = ("kgq_canary0123456789abcdef", "correct-horse-battery-staple")


def _document(name: str) -> str:
    field = schema._schema.mutation_type.fields[name]  # type: ignore[union-attr]  # noqa: SLF001
    kind = field.args["input"].type
    return f"mutation ($input: {kind}) {{ {name}(input: $input) {{ __typename ... on Error {{ code message path }} }} }}"


class Everybody:
    """Does with each mutation what it is for; `done` are those that succeeded."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[str] = []

    async def act(self, name: str, /, **values: Any) -> None:
        scope = min(scope for scope in Scope if allowed(scope, name))
        found = (await self.world.data(_document(name), self.world.viewer(scope), input=values))[name]
        assert found["__typename"].endswith("Success"), (name, found)
        self.done.append(name)

    async def newest(self, model: Any) -> Any:
        return (await self.world.rows(model))[-1]

    async def all_of_it(self) -> None:
        connection = await self.report_everything()
        await self.ask_for_everything(connection)
        cluster = (await self.newest(Cluster)).id
        await self.act("clusterRename", clusterId=cluster, name="live")
        await self.act("tokenCreate", name="new", scope="VIEWER")
        await self.act("tokenRevoke", tokenId=(await self.newest(Token)).id)
        await self.act("orgCreate", slug="third", name="Third")
        await self.act("orchestratorDisconnect", connectionId=connection)

    async def report_everything(self) -> str:
        await self.act(
            "orchestratorConnect", clusterName="prod", instanceId="one", version="1", host=HOST,
            agents=[{"agentId": "a1", "version": "1", "host": HOST}],
        )  # fmt: skip
        connection: str = (await self.newest(Orchestrator)).connection_id
        about = {"connectionId": connection}
        await self.act("orchestratorHeartbeat", **about, memoryUsedMb=1, uptimeSeconds=1, agents=[])
        await self.act("orchestratorReportInventory", **about, full=True)
        workflow = {"registrationId": "w", "name": "build", "repository": "acme/app"}
        await self.act("orchestratorReportWorkflows", **about, workflows=[workflow])
        letters = [{"id": "l1", "eventName": "push"}]
        await self.act("orchestratorReportSettings", **about, secretBackends=[BACKEND], deadLetters=letters)
        alert = {"dedupeKey": "disk", "severity": "WARNING", "message": "full"}
        await self.act("orchestratorReportAlerts", **about, alerts=[alert])
        job = {"jobId": "j", "status": "RUNNING"}
        runs = [
            {"runId": "ended", "registrationId": "w", "status": "FAILED"},
            {"runId": "active", "registrationId": "w", "status": "RUNNING", "jobs": [job]},
        ]
        await self.act("orchestratorReportRuns", **about, runs=runs)
        part = {"runId": "active", "jobId": "j", "step": 0, "firstLine": 0, "lines": ["hello"]}
        await self.act("orchestratorReportLogs", **about, parts=[part])
        return connection

    async def ask_for_everything(self, connection: str) -> None:
        workflow, backend = (await self.newest(WorkflowRow)).id, (await self.newest(Backend)).id
        runs = {row.external_id: row.id for row in await self.world.rows(Run)}
        await self.act("alertAcknowledge", alertId=(await self.newest(Alert)).id)
        await self.act("workflowRunNow", workflowId=workflow)
        await self.act(
            "orchestratorCompleteCommand", connectionId=connection, succeeded=True,
            commandId=(await self.newest(Command)).id,
        )  # fmt: skip
        await self.act("runRerun", runId=runs["ended"])
        await self.act("runCancel", runId=runs["active"])
        await self.act("workflowSetEnabled", workflowId=workflow, enabled=False)
        await self.act("secretBackendSync", secretBackendId=backend)
        await self.act("secretBackendTest", secretBackendId=backend)
        cluster = (await self.newest(Cluster)).id
        await self.act("secretBackendSyncAll", clusterId=cluster)
        for name in ("deadLetterRetry", "deadLetterDiscard"):
            await self.act(name, clusterId=cluster, deadLetterId="l1")
        await self.act("workflowDelete", workflowId=workflow)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers the test of a backend, so nobody waits for it."""
    monkeypatch.setattr("kici_gql.api.mutations.settings.TEST_SECONDS", 0.01)


async def test_each_mutation_that_succeeds_leaves_one_row(any_world: World, impatient: None) -> None:
    everybody = Everybody(any_world)
    await everybody.all_of_it()
    assert set(everybody.done) == set(ACTIONS)
    rows = await any_world.rows(Audit)
    assert [row.action for row in rows] == everybody.done, "one each, in the order of what happened"
    for row in rows:
        assert row.outcome is AuditOutcome.SUCCEEDED
        assert row.error_code is None
        assert any_world.viewer(row.token_name.upper()).token_id == row.token_id
        assert allowed(any_world.viewer(row.token_name.upper()).scope, row.action)
        assert row.request_id
        assert row.at == any_world.store.now()
        assert row.object_id, row.action


async def test_the_object_is_what_it_was_about(world: World, impatient: None) -> None:
    await Everybody(world).all_of_it()
    about = {row.action: row.object_id for row in await world.rows(Audit)}
    kinds = {
        Prefix.CLUSTER: {"clusterRename", "secretBackendSyncAll", "deadLetterRetry", "deadLetterDiscard"},
        Prefix.SECRET_BACKEND: {"secretBackendSync", "secretBackendTest"},
        Prefix.WORKFLOW: {"workflowRunNow", "workflowSetEnabled", "workflowDelete"},
        Prefix.RUN: {"runCancel", "runRerun"},
        Prefix.ALERT: {"alertAcknowledge"},
        Prefix.TOKEN: {"tokenCreate", "tokenRevoke"},
        Prefix.ORG: {"orgCreate"},
        Prefix.COMMAND: {"orchestratorCompleteCommand"},
    }
    for prefix, names in kinds.items():
        assert {name for name in names if not about[name].startswith(f"{prefix}_")} == set()


FIND = """query ($where: AuditWhere) { org { auditLog(where: $where, first: 100) { totalCount nodes {
    action outcome errorCode tokenName objectId requestId detail at } } } }"""


async def found(world: World, **where: Any) -> list[dict[str, Any]]:
    log = (await world.data(FIND, where=where))["org"]["auditLog"]
    assert log["totalCount"] == len(log["nodes"])
    nodes: list[dict[str, Any]] = log["nodes"]
    return nodes


async def test_filters(any_world: World, clock: Clock, impatient: None) -> None:
    world, start = any_world, clock()
    await Everybody(world).all_of_it()
    later = clock.advance(60)
    await world.data(_document("tokenRevoke"), world.viewer("VIEWER"), input={"tokenId": "tok_1"})
    await world.data(_document("tokenRevoke"), input={"tokenId": "tok_1"})
    every = await found(world)
    assert [each["at"] for each in every] == sorted((each["at"] for each in every), reverse=True)
    one = every[5]
    for where in (
        {"action": {"eq": "tokenRevoke"}},
        {"action": {"contains": "SECRETbackend"}},
        {"outcome": "REFUSED"},
        {"errorCode": ["FORBIDDEN"]},
        {"errorCode": ["FORBIDDEN", "NOT_FOUND"]},
        {"tokenName": {"oneOf": ["operator", "viewer"]}},
        {"objectId": one["objectId"]},
        {"requestId": one["requestId"]},
        {"at": {"since": later.isoformat()}},
        {"at": {"until": later.isoformat()}},
        {"at": {"since": start.isoformat(), "until": later.isoformat()}, "tokenName": {"eq": "admin"}},
    ):
        wanted = [each for each in every if fits(each, where)]
        assert 0 < len(wanted) < len(every), where
        assert await found(world, **where) == wanted, where
    assert [each["tokenName"] for each in await found(world, errorCode=["FORBIDDEN"])] == ["viewer"]
    assert await found(world, tokenId=world.viewer("VIEWER").token_id) == await found(
        world, tokenName={"eq": "viewer"}
    )


async def test_orders(world: World, clock: Clock) -> None:
    for slug in ("third", "fourth", "fifth"):
        await world.data(_document("orgCreate"), input={"slug": slug, "name": slug})
        clock.advance(1)
    query = "query ($order: AuditOrderFieldOrder) { org { auditLog(orderBy: $order) { nodes { at } } } }"
    oldest, *_, latest = found = [
        each["at"] for each in (await world.data(query, order={"field": "AT"}))["org"]["auditLog"]["nodes"]
    ]
    assert oldest < latest
    for order in (None, {"field": "AT", "direction": "DESC"}):
        nodes = (await world.data(query, order=order))["org"]["auditLog"]["nodes"]
        assert [each["at"] for each in nodes] == found[::-1]


def fits(entry: dict[str, Any], where: Mapping[str, Any]) -> bool:
    """What each filter means, said once more in plain words."""

    def one(name: str, wanted: Any) -> bool:
        value = entry[name]
        if isinstance(wanted, str):
            return bool(value == wanted)
        if isinstance(wanted, list):
            return value in wanted
        moment = value.replace("Z", "+00:00")
        tests: dict[str, Callable[[Any], bool]] = {
            "eq": lambda given: value == given,
            "oneOf": lambda given: value in given,
            "contains": lambda given: given.lower() in value.lower(),
            "since": lambda given: moment >= given,
            "until": lambda given: moment < given,
        }
        return all(tests[operator](given) for operator, given in wanted.items())

    return all(one(name, wanted) for name, wanted in where.items())


def _canary_inputs(canary: str) -> dict[str, dict[str, Any]]:
    """Ways to send a secret where none belongs; each is refused."""
    return {
        "orchestratorConnect": {"clusterName": canary + "!", "version": "1", "host": HOST},
        "orchestratorHeartbeat": {"connectionId": canary, "memoryUsedMb": 1, "uptimeSeconds": 1, "agents": []},
        "orchestratorReportSettings": {"connectionId": canary, "environments": [{"name": canary}]},
        "orchestratorReportAlerts": {"connectionId": canary, "alerts": []},
        "orchestratorCompleteCommand": {"connectionId": canary, "commandId": canary, "succeeded": True},
        "orchestratorDisconnect": {"connectionId": canary, "reason": canary},
        "clusterRename": {"clusterId": canary, "name": canary + "!"},
        "secretBackendTest": {"secretBackendId": canary},
        "deadLetterRetry": {"clusterId": canary, "deadLetterId": canary},
        "workflowRunNow": {"workflowId": canary, "inputs": [{"name": canary, "value": canary}]},
        "runCancel": {"runId": canary},
        "alertAcknowledge": {"alertId": canary, "note": canary},
        "tokenRevoke": {"tokenId": canary},
        "tokenCreate": {"name": canary, "scope": "VIEWER", "clusterName": canary},
        "orgCreate": {"slug": canary + "!", "name": canary},
    }  # fmt: skip


@pytest.mark.parametrize("canary", CANARIES)
async def test_what_was_sent_to_the_wrong_field_is_not_kept(
    world: World, canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = await world.dump("audit")
    for name, values in _canary_inputs(canary).items():
        scope = min(scope for scope in Scope if allowed(scope, name))
        answer = (await world.data(_document(name), world.viewer(scope), input=values))[name]
        assert "code" in answer, (name, answer)
    assert await world.dump("audit") == before
    assert canary not in str(await world.dump()) + str(await world.log()) + caplog.text
    assert canary not in str(await found(world))
    rows = await world.rows(Audit)
    assert {row.action for row in rows} == set(_canary_inputs(canary))
    assert all(row.outcome is AuditOutcome.REFUSED and row.detail for row in rows)


async def test_a_tokens_secret_is_answered_once_and_kept_nowhere(world: World) -> None:
    create = """mutation ($key: String) { tokenCreate(input: {name: "n", scope: ADMIN, idempotencyKey: $key}) {
        ... on TokenCreateSuccess { secret replayed } } }"""
    secret = (await world.data(create, key="k"))["tokenCreate"]["secret"]
    assert (await world.data(create, key="k"))["tokenCreate"] == {"secret": None, "replayed": True}
    assert secret
    assert secret not in str(await world.dump()) + str(await world.log()) + str(await found(world))
