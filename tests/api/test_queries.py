"""The tree as clients ask for it: its cost, its fields, and the ways to a single object."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.tables import Agent, Cluster, Orchestrator
from tests.world import Clock, World, agent, beat_of, scaler

AGENT = """id agentId platform arch heartbeatAgeSeconds liveness { state reason since missedBeats } hostname runningAs
    cpuCount memoryUsedMb memoryTotalMb uptimeSeconds version labels { name kind } activeJobs maxConcurrency paused
    lastHeartbeatAt firstSeenAt scaler { name } orchestrator { displayId } cluster { name }"""
TREE = f"""{{ org {{ cursor clusters {{ totalCount nodes {{ id name connected version versions mode routingKeys
    lastHeartbeatAt alerts {{ totalCount nodes {{ kind state }} }}
    orchestrators {{ totalCount pageInfo {{ hasNextPage }} nodes {{ id displayId shortConnectionId connected role version
        hostname runningAs cpuCount memoryUsedMb memoryTotalMb uptimeSeconds mode routingKeys lastHeartbeatAt runningJobs
        queuedJobs liveness {{ state }} cluster {{ name }}
        scalers {{ totalCount nodes {{ id name type activeAgents maxAgents labels {{ name kind }}
            configSummary {{ key value }} hosts orchestrator {{ displayId }}
            agents(first: 100) {{ totalCount nodes {{ {AGENT} }} }} }} }}
        statefulAgents {{ nodes {{ {AGENT} }} }} }} }} }} }} }} }}"""


class Statements(list[str]):
    """The queries that were sent to the database, without the feed's slow look at all logs."""


@contextmanager
def statements() -> Iterator[Statements]:
    sent = Statements()

    def note(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT") and not statement.startswith("SELECT org.id, org.last_seq"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def fleet(world: World, clusters: int, scalers: int, agents: int) -> int:
    """A fleet of clusters x scalers x agents, and a stateful agent each."""
    count = 0
    for c in range(clusters):
        names = [f"a{c}-{s}-{a}" for s in range(scalers) for a in range(agents)]
        connection = await world.connect(
            f"cluster-{c}",
            f"orchestrator-{c}",
            scalers=[scaler(f"s{s}", 100) for s in range(scalers)],
            agents=[
                *(agent(name, f"s{number // agents}") for number, name in enumerate(names)),
                agent(f"state-{c}", None),
            ],
        )
        await world.beat(connection, [*names, f"state-{c}"])
        count += len(names)
    return count


async def test_the_whole_tree_costs_the_same_for_one_agent_and_for_a_thousand(any_world: World) -> None:
    assert await fleet(any_world, 1, 1, 1) == 1
    with statements() as few:
        small = await any_world.data(TREE)
    assert await fleet(any_world, 5, 2, 100) == 1000
    with statements() as many:
        large = await any_world.data(TREE)
    found = [
        each
        for cluster in large["org"]["clusters"]["nodes"]
        for orchestrator in cluster["orchestrators"]["nodes"]
        for each in orchestrator["scalers"]["nodes"]
    ]
    assert sum(len(each["agents"]["nodes"]) for each in found) == 1000
    assert {each["agents"]["totalCount"] for each in found} == {100}
    assert small["org"]["clusters"]["totalCount"] == 1
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few)))
    assert len(few) < 25


async def test_what_each_level_shows(world: World, clock: Clock) -> None:
    connection = await world.connect(
        "prod",
        "one",
        routing_keys=["eu"],
        mode="hybrid",
        scalers=[scaler(labels=["gpu", "kici:auto"], hosts=["h1"])],
        agents=[agent("a1", labels=["kici:os:linux"], max_concurrency=4), agent("s1", None)],
    )
    await world.beat(
        connection, [beat_of("a1", active_jobs=2, paused=True), "s1"], running_jobs=2, queued_jobs=1
    )
    clock.advance(7)
    [cluster] = (await world.data(TREE))["org"]["clusters"]["nodes"]
    assert (cluster["connected"], cluster["versions"], cluster["routingKeys"]) == (True, ["1.0"], ["eu"])
    [orchestrator] = cluster["orchestrators"]["nodes"]
    assert orchestrator["displayId"] == "one"
    assert orchestrator["shortConnectionId"] == connection[:8]
    assert (orchestrator["runningJobs"], orchestrator["queuedJobs"]) == (2, 1)
    [metal] = orchestrator["scalers"]["nodes"]
    assert (metal["activeAgents"], metal["maxAgents"]) == (1, 10)
    assert metal["labels"] == [{"name": "gpu", "kind": "USER"}, {"name": "kici:auto", "kind": "AUTO"}]
    [a1] = metal["agents"]["nodes"]
    assert (a1["heartbeatAgeSeconds"], a1["activeJobs"], a1["maxConcurrency"], a1["paused"]) == (
        7,
        2,
        4,
        True,
    )
    assert a1["liveness"]["state"] == "ONLINE"
    assert a1["lastHeartbeatAt"] == "2026-01-31T12:00:00.250000Z"
    assert [each["agentId"] for each in orchestrator["statefulAgents"]["nodes"]] == ["s1"]


async def test_who_has_no_instance_id_is_shown_by_its_connection(world: World) -> None:
    connection = await world.connect(None, None)
    [node] = (await world.data("{ org { orchestrators { nodes { displayId shortConnectionId } } } }"))["org"][
        "orchestrators"
    ]["nodes"]
    assert node == {"displayId": connection[:8], "shortConnectionId": None}


async def test_ids_lead_to_their_objects(world: World, clock: Clock) -> None:
    await world.connect(scalers=[scaler()], agents=[agent()])
    clock.advance(200)
    await world.sweep()
    ids = await world.data(
        """{ org { id clusters { nodes { id } } orchestrators { nodes { id } } scalers { nodes { id } }
             agents { nodes { id } } alerts { nodes { id } } tokens { id } auditLog { nodes { id } } } }"""
    )
    org = ids["org"]
    every = [org["id"]] + [
        node["id"]
        for name in ("clusters", "orchestrators", "scalers", "agents", "alerts", "auditLog")
        for node in org[name]["nodes"]
    ]
    every += [token["id"] for token in org["tokens"]]
    found = await world.data("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=every)
    assert [each["id"] for each in found["nodes"]] == every
    kinds = {each["__typename"] for each in found["nodes"]}
    assert kinds == {"Org", "Cluster", "Orchestrator", "Scaler", "Agent", "Alert", "Token", "AuditEntry"}


@pytest.mark.parametrize(
    "id_", ["", "x", "agt", "agt_", "agt_\x00", "%", "\N{PILE OF POO}", "x" * 100_000, "clu_" + "0" * 32]
)
async def test_ids_that_lead_nowhere(any_world: World, id_: str) -> None:
    answer = await any_world.run("query ($id: ID!) { node(id: $id) { id } }", id=id_)
    assert answer["data"]["node"] is None
    for error in answer.get("errors", []):
        assert error["extensions"]["code"] == "INVALID_INPUT"
        assert len(str(error)) < 1000


async def test_one_bad_id_costs_none_of_the_others(world: World) -> None:
    await world.connect()
    [cluster] = await world.rows(Cluster)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    answer = await world.run(query, ids=["x", cluster.id, "clu_" + "0" * 32])
    assert answer["data"]["nodes"] == [None, {"id": cluster.id}, None]
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["nodes", 0], "INVALID_INPUT")


async def test_a_field_that_fails_costs_none_that_waits_for_the_same_rows(any_world: World) -> None:
    await any_world.connect()
    answer = await any_world.run(
        """{ a: org { clusters { nodes { connected alerts(last: 101) { totalCount } } } }
             b: org { clusters { nodes { connected } } } }"""
    )
    assert [error["path"] for error in answer["errors"]] == [["a", "clusters", "nodes", 0, "alerts"]]
    assert answer["data"]["b"] == {"clusters": {"nodes": [{"connected": True}]}}


async def test_a_variable_may_be_of_another_type_in_another_operation(world: World) -> None:
    document = """query A($x: Boolean!) { org { slug @skip(if: $x) } }
                  query B($x: [ID!]!) { nodes(ids: $x) { id } }"""
    for _ in range(3):
        prepared = world.operations.prepare(GraphQLRequest(document, "B", {"x": ["org_0"]}))
        answer = orjson.loads((await world.operations.run(prepared, world.viewer())).body)
        assert answer == {"data": {"nodes": [None]}}


@pytest.mark.parametrize("other", ["agents", "runs"])
async def test_a_cursor_of_another_list_is_refused(any_world: World, other: str) -> None:
    await any_world.connect()
    found = await any_world.data("{ org { clusters(first: 1) { pageInfo { endCursor } } } }")
    cursor = found["org"]["clusters"]["pageInfo"]["endCursor"]
    query = f"query ($after: String!) {{ org {{ {other}(after: $after) {{ nodes {{ id }} }} }} }}"
    [error] = (await any_world.run(query, after=cursor))["errors"]
    assert error["message"] == "after is not a cursor of this list in this order"


async def test_nodes_are_bounded(world: World) -> None:
    answer = await world.run("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["agt_x"] * 101)
    assert answer["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("name", ["", "No Good", "a\x00", "x" * 100_000, "-"])
async def test_a_cluster_whose_name_is_none(any_world: World, name: str) -> None:
    answer = await any_world.run("query ($n: String!) { org { slug cluster(name: $n) { id } } }", n=name)
    assert answer["data"] == {"org": {"slug": "default", "cluster": None}}
    [error] = answer["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("INVALID_INPUT", ["org", "cluster"])
    assert len(str(error)) < 1000


async def test_a_cluster_by_name(world: World) -> None:
    await world.connect("prod")
    query = "query ($n: String!) { org { cluster(name: $n) { name } } }"
    assert await world.data(query, n="prod") == {"org": {"cluster": {"name": "prod"}}}
    assert await world.data(query, n="test") == {"org": {"cluster": None}}


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("field", ["AGENT_ID", "LAST_HEARTBEAT_AT", "CREATED_AT"])
async def test_paging_through_the_api(any_world: World, clock: Clock, field: str, direction: str) -> None:
    names = [f"a{n}" for n in range(7)]
    connection = await any_world.connect(agents=[agent(name, None) for name in names])
    for name in names[:4]:
        clock.advance(1)
        await any_world.beat(connection, [name])
    query = """query ($first: Int, $after: String, $last: Int, $before: String, $order: AgentOrderFieldOrder) {
        org { agents(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
            nodes { agentId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } } }"""
    order = {"field": field, "direction": direction}
    whole = [each["agentId"] for each in (await agents(any_world, query, order=order))["nodes"]]
    assert sorted(whole) == names
    if field == "AGENT_ID":
        assert whole == (names if direction == "ASC" else names[::-1])
    if field == "LAST_HEARTBEAT_AT":
        assert whole[:4] == (names[:4] if direction == "ASC" else names[3::-1]), "those without come last"
    forward: list[str] = []
    after = None
    while True:
        page = await agents(any_world, query, order=order, first=2, after=after)
        forward += [each["agentId"] for each in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == 7
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert forward == whole
    backward: list[str] = []
    before = None
    while True:
        page = await agents(any_world, query, order=order, last=3, before=before)
        backward = [each["agentId"] for each in page["nodes"]] + backward
        before = page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break
    assert backward == whole


async def agents(world: World, query: str, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await world.data(query, **variables))["org"]["agents"]
    return found


async def test_a_change_is_seen_by_what_comes_after_it_in_the_same_operation(
    world: World, clock: Clock
) -> None:
    """Loaders remember for one operation; what a mutation changed must be read anew."""
    await world.connect()
    clock.advance(200)
    await world.sweep()
    [alert] = (await world.data("{ org { alerts { nodes { id } } } }"))["org"]["alerts"]["nodes"]
    acknowledge = """(input: {alertId: $id, note: "%s"}) {
        ... on AlertAcknowledgeSuccess { alert { version acknowledgement { note } } } }"""
    answer = await world.data(
        f"""mutation ($id: ID!) {{ a: alertAcknowledge{acknowledge % "first"}
                                   b: alertAcknowledge{acknowledge % "second"} }}""",
        id=alert["id"],
    )
    assert [answer[name]["alert"]["acknowledgement"]["note"] for name in "ab"] == ["first", "second"]
    assert [answer[name]["alert"]["version"] for name in "ab"] == [2, 3]


async def test_a_stale_version_is_answered_with_the_present_object(world: World, clock: Clock) -> None:
    await world.connect()
    clock.advance(200)
    await world.sweep()
    [alert] = (await world.data("{ org { alerts { nodes { id } } } }"))["org"]["alerts"]["nodes"]
    answer = await world.data(
        """mutation ($id: ID!) { alertAcknowledge(input: {alertId: $id, expectedVersion: 9}) {
            __typename ... on VersionConflict { code retryable current { id ... on Alert { version state } } } } }""",
        id=alert["id"],
    )
    assert answer["alertAcknowledge"] == {
        "__typename": "VersionConflict",
        "code": "VERSION_CONFLICT",
        "retryable": False,
        "current": {"id": alert["id"], "version": 1, "state": "OPEN"},
    }


async def test_what_a_token_may(world: World) -> None:
    query = '{ viewer { scope tokenName org { slug } can(action: "tokenCreate") { allowed reason scopes } } }'
    admin = (await world.data(query))["viewer"]
    assert (admin["scope"], admin["can"]["allowed"], admin["can"]["reason"]) == ("ADMIN", True, None)
    orchestrator = (await world.data(query, world.viewer("ORCHESTRATOR")))["viewer"]
    assert (orchestrator["org"], orchestrator["can"]["allowed"]) == (None, False)
    assert orchestrator["can"]["scopes"] == ["ADMIN"]
    unknown = await world.data('{ viewer { can(action: "noSuchThing") { allowed scopes } } }')
    assert unknown["viewer"]["can"] == {"allowed": False, "scopes": []}


READS = ["org { id }", "orgs { id }", 'node(id: "clu_1") { id }', 'nodes(ids: ["clu_1"]) { id }']


@pytest.mark.parametrize("field", READS)
async def test_an_orchestrators_token_reads_nothing(world: World, field: str) -> None:
    answer = await world.run(f"{{ {field} }}", world.viewer("ORCHESTRATOR"))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize("scope", ["VIEWER", "OPERATOR"])
@pytest.mark.parametrize("field", ["auditLog { nodes { id } }", "tokens { id }"])
async def test_what_only_admins_read(world: World, scope: str, field: str) -> None:
    answer = await world.run(f"{{ org {{ {field} }} }}", world.viewer(scope))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    for token in (world.viewer().token_id, "tok_" + "0" * 32):
        answer = await world.run("query ($id: ID!) { node(id: $id) { id } }", world.viewer(scope), id=token)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert len(await world.rows(Agent)) == len(await world.rows(Orchestrator)) == 0
