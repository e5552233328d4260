"""Bad input gets a typed error that says what is wrong, and nothing is half-written."""

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import tokens
from kici_gql.actions.tokens import TokenWish
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.auth import Authenticator
from kici_gql.errors import Unauthenticated
from kici_gql.events import Cursor, iso
from kici_gql.settings import Settings
from kici_gql.tables import TokenScope
from tests.world import Clock, World, world_of

HOST: dict[str, Any] = {
    "hostname": "h",
    "runningAs": "ci",
    "platform": "linux",
    "arch": "x86_64",
    "cpuCount": 2,
    "memoryTotalMb": 64,
}
AGENT: dict[str, Any] = {"agentId": "a1", "host": HOST, "version": "1.0", "scaler": "metal"}
SCALER: dict[str, Any] = {"name": "metal", "type": "BARE_METAL", "maxAgents": 4}
CONNECT: dict[str, Any] = {
    "clusterName": "prod",
    "instanceId": "one",
    "version": "1.0",
    "host": HOST,
    "scalers": [SCALER],
    "agents": [AGENT],
}
BEAT: dict[str, Any] = {
    "connectionId": "$",
    "memoryUsedMb": 1,
    "uptimeSeconds": 1,
    "agents": [{"agentId": "a1", "memoryUsedMb": 1, "uptimeSeconds": 1}],
}
INVENTORY: dict[str, Any] = {"connectionId": "$", "full": True, "scalers": [SCALER], "agents": [AGENT]}
ALERTS: dict[str, Any] = {
    "connectionId": "$",
    "alerts": [{"dedupeKey": "d", "severity": "INFO", "message": "m"}],
}
SETTINGS: dict[str, Any] = {
    "connectionId": "$",
    "securityPolicy": {
        "settings": [{"key": "mode", "value": "strict"}, {"key": "region", "value": "eu"}],
        "writes": [
            {"operation": "backends.sync", "allowed": False},
            {"operation": "backends.test", "allowed": True},
        ],
    },
}
ENTRY = {"key": "image", "value": "debian"}
BYE: dict[str, Any] = {"connectionId": "$", "reason": "r"}
TOKEN: dict[str, Any] = {"name": "t", "scope": "VIEWER"}
HUGE = "x" * 200_000

GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "orchestratorConnect": ("ORCHESTRATOR", CONNECT),
    "orchestratorHeartbeat": ("ORCHESTRATOR", BEAT),
    "orchestratorReportInventory": ("ORCHESTRATOR", INVENTORY),
    "orchestratorReportAlerts": ("ORCHESTRATOR", ALERTS),
    "orchestratorReportSettings": ("ORCHESTRATOR", SETTINGS),
    "orchestratorDisconnect": ("ORCHESTRATOR", BYE),
    "tokenCreate": ("ADMIN", TOKEN),
    "tokenRevoke": ("ADMIN", {"tokenId": "tok_" + "0" * 32}),
    "orgCreate": ("ADMIN", {"slug": "third", "name": "Third"}),
    "alertAcknowledge": ("OPERATOR", {"alertId": "alr_" + "0" * 32}),
}

# mutation, where in its input, what is put there, the error's type, its path
BAD: list[tuple[str, str, Any, str, str | None]] = [
    ("orchestratorConnect", "clusterName", "Not A Name", "InvalidInput", "clusterName"),
    ("orchestratorConnect", "clusterName", "", "InvalidInput", "clusterName"),
    ("orchestratorConnect", "clusterName", HUGE, "InvalidInput", "clusterName"),
    ("orchestratorConnect", "clusterName", "prod\x00", "InvalidInput", "clusterName"),
    ("orchestratorConnect", "instanceId", "", "InvalidInput", "instanceId"),
    ("orchestratorConnect", "instanceId", HUGE, "InvalidInput", "instanceId"),
    ("orchestratorConnect", "version", "\x00", "InvalidInput", "version"),
    ("orchestratorConnect", "host.cpuCount", 0, "InvalidInput", "host.cpuCount"),
    ("orchestratorConnect", "host.cpuCount", -5, "InvalidInput", "host.cpuCount"),
    ("orchestratorConnect", "host.memoryTotalMb", -1, "InvalidInput", "host.memoryTotalMb"),
    ("orchestratorConnect", "scalers.0.maxAgents", -1, "InvalidInput", "scalers.0.maxAgents"),
    ("orchestratorConnect", "scalers", [SCALER, SCALER], "InvalidInput", "scalers.1.name"),
    (
        "orchestratorConnect",
        "scalers.0.configSummary",
        [ENTRY, ENTRY],
        "InvalidInput",
        "scalers.0.configSummary.1.key",
    ),
    ("orchestratorConnect", "agents", [AGENT, AGENT], "InvalidInput", "agents.1.agentId"),
    ("orchestratorConnect", "agents", [AGENT] * 2001, "LimitExceeded", "agents"),
    ("orchestratorConnect", "agents.0.scaler", "nope", "InvalidInput", "agents.0.scaler"),
    ("orchestratorConnect", "agents.0.labels", ["l"] * 65, "LimitExceeded", "agents.0.labels"),
    ("orchestratorConnect", "idempotencyKey", "", "InvalidInput", "idempotencyKey"),
    ("orchestratorConnect", "idempotencyKey", HUGE, "InvalidInput", "idempotencyKey"),
    ("orchestratorHeartbeat", "connectionId", "nobody", "UnknownConnection", "connectionId"),
    ("orchestratorHeartbeat", "connectionId", "", "UnknownConnection", "connectionId"),
    ("orchestratorHeartbeat", "connectionId", "\x00", "UnknownConnection", "connectionId"),
    ("orchestratorHeartbeat", "connectionId", HUGE, "UnknownConnection", "connectionId"),
    ("orchestratorHeartbeat", "memoryUsedMb", -1, "InvalidInput", "memoryUsedMb"),
    ("orchestratorHeartbeat", "uptimeSeconds", -1, "InvalidInput", "uptimeSeconds"),
    ("orchestratorHeartbeat", "runningJobs", -1, "InvalidInput", "runningJobs"),
    ("orchestratorHeartbeat", "queuedJobs", -1, "InvalidInput", "queuedJobs"),
    ("orchestratorHeartbeat", "sentAt", "2019-01-01T00:00:00Z", "InvalidInput", "sentAt"),
    ("orchestratorHeartbeat", "sentAt", "2099-01-01T00:00:00Z", "InvalidInput", "sentAt"),
    ("orchestratorHeartbeat", "agents.0.activeJobs", -1, "InvalidInput", "agents.0.activeJobs"),
    ("orchestratorHeartbeat", "agents", BEAT["agents"] * 2, "InvalidInput", "agents.1.agentId"),
    ("orchestratorHeartbeat", "agents", BEAT["agents"] * 2001, "LimitExceeded", "agents"),
    ("orchestratorReportInventory", "connectionId", "nobody", "UnknownConnection", "connectionId"),
    ("orchestratorReportInventory", "agents", [AGENT, AGENT], "InvalidInput", "agents.1.agentId"),
    ("orchestratorReportInventory", "agents.0.scaler", "nope", "InvalidInput", "agents.0.scaler"),
    ("orchestratorReportInventory", "removedAgents", ["ghost"], "NotFound", "removedAgents.0"),
    ("orchestratorReportInventory", "removedAgents", ["a1"], "InvalidInput", "removedAgents.0"),
    ("orchestratorReportInventory", "removedScalers", ["\x00"], "NotFound", "removedScalers.0"),
    ("orchestratorReportInventory", "removedAgents", ["g"] * 2001, "LimitExceeded", "removedAgents"),
    ("orchestratorReportAlerts", "connectionId", "nobody", "UnknownConnection", "connectionId"),
    ("orchestratorReportAlerts", "alerts.0.dedupeKey", "", "InvalidInput", "alerts.0.dedupeKey"),
    ("orchestratorReportAlerts", "alerts.0.message", HUGE, "InvalidInput", "alerts.0.message"),
    ("orchestratorReportAlerts", "alerts", ALERTS["alerts"] * 2, "InvalidInput", "alerts.1.dedupeKey"),
    ("orchestratorReportAlerts", "alerts", ALERTS["alerts"] * 101, "LimitExceeded", "alerts"),
    ("orchestratorReportSettings", "connectionId", "nobody", "UnknownConnection", "connectionId"),
    (
        "orchestratorReportSettings",
        "securityPolicy.settings.1.key",
        "mode",
        "InvalidInput",
        "securityPolicy.settings.1.key",
    ),
    (
        "orchestratorReportSettings",
        "securityPolicy.writes.1.operation",
        "backends.sync",
        "InvalidInput",
        "securityPolicy.writes.1.operation",
    ),
    ("orchestratorDisconnect", "connectionId", "nobody", "UnknownConnection", "connectionId"),
    ("orchestratorDisconnect", "reason", HUGE, "InvalidInput", "reason"),
    ("tokenCreate", "name", "", "InvalidInput", "name"),
    ("tokenCreate", "name", HUGE, "InvalidInput", "name"),
    ("tokenCreate", "clusterName", "prod", "InvalidInput", "clusterName"),
    ("tokenCreate", "expiresAt", "2019-01-01T00:00:00Z", "InvalidInput", "expiresAt"),
    ("tokenRevoke", "tokenId", "tok_" + "0" * 32, "NotFound", "tokenId"),
    ("tokenRevoke", "tokenId", "\x00", "NotFound", "tokenId"),
    ("tokenRevoke", "tokenId", HUGE, "NotFound", "tokenId"),
    ("orgCreate", "slug", "No Good", "InvalidInput", "slug"),
    ("orgCreate", "slug", "other", "NameTaken", "slug"),
    ("orgCreate", "name", "", "InvalidInput", "name"),
    ("alertAcknowledge", "alertId", "alr_" + "0" * 32, "NotFound", "alertId"),
    ("alertAcknowledge", "alertId", "", "NotFound", "alertId"),
    ("alertAcknowledge", "until", "2019-01-01T00:00:00Z", "InvalidInput", "until"),
    ("alertAcknowledge", "note", HUGE, "InvalidInput", "note"),
]

# What the types of GraphQL themselves refuse.
MISTYPED: list[tuple[str, str, Any]] = [
    ("orchestratorConnect", "version", 5),
    ("orchestratorConnect", "version", None),
    ("orchestratorConnect", "host", None),
    ("orchestratorConnect", "host.cpuCount", 2**31),
    ("orchestratorConnect", "host.cpuCount", 1.5),
    ("orchestratorConnect", "scalers.0.type", "MAGIC"),
    ("orchestratorConnect", "noSuchField", 1),
    ("orchestratorHeartbeat", "sentAt", "yesterday"),
    ("orchestratorHeartbeat", "sentAt", "2026-01-31T12:00:00"),
    ("orchestratorHeartbeat", "sentAt", "0001-01-01T00:00:00+14:00"),
    ("orchestratorHeartbeat", "agents", {"agentId": 1}),
    ("tokenCreate", "scope", "ROOT"),
    ("alertAcknowledge", "expectedVersion", "1"),
]


def put(input_: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    """The input with something else at one place."""
    result = copy.deepcopy(input_)
    place: Any = result
    *way, last = where.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return result


def document(name: str) -> str:
    type_ = f"{name[0].upper()}{name[1:]}Input"
    return f"""mutation ($input: {type_}!) {{ {name}(input: $input) {{
        __typename ... on Error {{ code message path retryable hint }} }} }}"""


async def prepared(world: World) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """A fleet, and its connection id wherever an input says `$`."""
    answer = await world.data(
        """mutation ($input: OrchestratorConnectInput!) { orchestratorConnect(input: $input) {
            ... on OrchestratorConnectSuccess { connectionId } } }""",
        world.viewer("ORCHESTRATOR"),
        input=CONNECT,
    )
    connection = answer["orchestratorConnect"]["connectionId"]

    def fill(name: str, given: dict[str, Any]) -> dict[str, Any]:
        return given | ({"connectionId": connection} if given.get("connectionId") == "$" else {})

    return fill


async def test_the_samples_are_good(world: World) -> None:
    fill = await prepared(world)
    for name, (scope, given) in GOOD.items():
        # Another cluster, so that the connection of the others lives on.
        more = {"clusterName": "another"} if name == "orchestratorConnect" else {}
        answer = await world.data(document(name), world.viewer(scope), input=fill(name, given | more))
        assert answer[name]["__typename"].endswith("Success") or answer[name]["code"] == "NOT_FOUND", answer


async def test_bad_input_gets_a_typed_error_and_changes_nothing(any_world: World) -> None:
    fill = await prepared(any_world)
    before = await any_world.dump("audit")
    for name, where, value, kind, path in BAD:
        scope, good = GOOD[name]
        given = fill(name, put(good, where, value))
        answer = (await any_world.data(document(name), any_world.viewer(scope), input=given))[name]
        case = (name, where, str(value)[:40], str(answer)[:300])
        assert answer["__typename"] == kind, case
        assert ".".join(answer["path"] or []) == path, case
        assert answer["message"], case
        assert answer["hint"], case
        assert answer["retryable"] is False, f"{case}: the same input will be as bad tomorrow"
        assert len(str(answer)) < 1000, case
    assert await any_world.dump("audit") == before, "nothing is half-written"
    audit = (await any_world.dump())["audit"]
    assert len(audit) == len(BAD) + 1, "but every refusal is on record"
    assert HUGE[:1000] not in str(audit)


async def test_what_has_another_type_is_refused_before_anything_runs(world: World) -> None:
    fill = await prepared(world)
    before = await world.dump()
    for name, where, value in MISTYPED:
        scope, good = GOOD[name]
        given = fill(name, put(good, where, value))
        with pytest.raises(RequestRefused) as refused:
            await world.run(document(name), world.viewer(scope), input=given)
        for error in refused.value.errors:
            assert error["extensions"]["code"] == "INVALID_INPUT", (name, where, error)
            assert "Traceback" not in str(error)
    assert await world.dump() == before


STREAMS = ("infrastructure", "heartbeats", "alerts")


@pytest.mark.parametrize("stream", STREAMS)
async def test_positions_from_nowhere(any_world: World, stream: str) -> None:
    await prepared(any_world)
    head = await any_world.head()
    query = f"subscription ($after: Cursor) {{ {stream}(after: $after) {{ kind reason cursor previousCursor snapshot {{ __typename }} }} }}"
    for cursor, reason in (
        (Cursor("00000000", 1), "the cursor belongs to another log"),
        (await any_world.head("other"), "the cursor belongs to another log"),
        (Cursor(head.epoch, head.seq + 1), "the cursor is ahead of the log"),
        (Cursor(head.epoch, 10**17), "the cursor is ahead of the log"),
    ):
        frame = await anext(any_world.frames(query, after=str(cursor)))
        assert (frame["kind"], frame["reason"]) == ("RESYNC", reason)
        assert (frame["cursor"], frame["previousCursor"]) == (str(head), None)
        assert frame["snapshot"]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("after", ["", "x", "\x00", "MDEyMzQ1Njc6MQ==", HUGE, 5, True, [], {}])
async def test_what_is_no_position(world: World, stream: str, after: Any) -> None:
    query = f"subscription ($after: Cursor) {{ {stream}(after: $after) {{ kind }} }}"
    with pytest.raises(RequestRefused) as refused:
        await anext(world.frames(query, after=after))
    [error] = refused.value.errors
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert len(str(error)) < 1000


async def test_an_expired_token_writes_nothing(sqlite_url: str, clock: Clock) -> None:
    async with world_of(Settings(database_url=sqlite_url), clock) as world:
        wish = TokenWish("short", TokenScope.ADMIN, expires_at=clock() + timedelta(seconds=5))
        secret = (await tokens.create(world.call(), wish)).result["secret"]
        door = Authenticator(world.store, world.feed.watch)
        await door.authenticate(secret)
        clock.advance(5)
        before = await world.dump()
        with pytest.raises(Unauthenticated, match="expired"):
            await door.authenticate(secret)
        assert await world.dump() == before
        assert iso(clock()).endswith("Z")
