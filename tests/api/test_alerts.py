"""An alert's whole life as its readers see it, and the filters that queries and streams share."""

from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import alerts
from kici_gql.api.mutations.inputs import ReportedAlertInput
from kici_gql.tables import AlertSeverity, BackendHealth
from tests.governed import backend, letter, report
from tests.world import Clock, World

SHOWN = """id kind severity state message clusterId subjectId flapCount version openedAt resolvedAt
    acknowledgement { by at note until } history { at state by note } evidence
    subject { __typename id }"""
QUERY = f"""query ($where: AlertWhere, $order: AlertOrderFieldOrder) {{
    org {{ alerts(where: $where, orderBy: $order, first: 100) {{ totalCount nodes {{ {SHOWN} }} }} }} }}"""
STREAM = f"""subscription ($where: AlertWhere) {{ alerts(where: $where) {{ kind snapshot {{ alerts {{ {SHOWN} }} }}
    events {{ __typename ... on AlertChanged {{ alert {{ {SHOWN} }} }} ... on AlertRemoved {{ id }} }} }} }}"""
ACKNOWLEDGE = """mutation ($input: AlertAcknowledgeInput!) { alertAcknowledge(input: $input) { __typename
    ... on AlertAcknowledgeSuccess { alert { state } } ... on Error { code path } } }"""


async def queried(world: World, **variables: Any) -> list[dict[str, Any]]:
    found = (await world.data(QUERY, **variables))["org"]["alerts"]
    assert found["totalCount"] == len(found["nodes"])
    nodes: list[dict[str, Any]] = found["nodes"]
    return nodes


async def push(world: World, connection: str, key: str, resolved: bool = False, **more: Any) -> None:
    values: dict[str, Any] = {"severity": AlertSeverity.WARNING, "message": key}
    told = ReportedAlertInput(**{"dedupe_key": key, "resolved": resolved, **values, **more})
    await alerts.report(world.call("ORCHESTRATOR"), connection, [told])


async def acknowledge(world: World, alert_id: str, **more: Any) -> None:
    values = {"alertId": alert_id, **more}
    answer = (await world.data(ACKNOWLEDGE, world.viewer("OPERATOR"), input=values))["alertAcknowledge"]
    assert answer == {"__typename": "AlertAcknowledgeSuccess", "alert": {"state": "ACKNOWLEDGED"}}


async def test_a_life_is_told_step_by_step_and_kept_as_history(any_world: World, clock: Clock) -> None:
    world = any_world
    connection = await world.connect()
    frames = world.frames(STREAM)
    assert (await anext(frames))["snapshot"] == {"alerts": []}
    await push(world, connection, "disk")
    [event] = (await anext(frames))["events"]
    id_ = event["alert"]["id"]
    clock.advance(10)
    until = clock() + timedelta(seconds=20)
    await acknowledge(world, id_, note="on it", until=until.isoformat())
    [event] = (await anext(frames))["events"]
    taken = event["alert"]["acknowledgement"]
    assert (taken["by"], taken["note"]) == ("operator", "on it")
    assert taken["until"].startswith(until.isoformat()[:19])
    clock.advance(20)
    await world.beat(connection)
    await world.sweep()  # it runs out
    [event] = (await anext(frames))["events"]
    assert (event["alert"]["state"], event["alert"]["acknowledgement"]) == ("OPEN", None)
    await acknowledge(world, id_)
    await push(world, connection, "disk", resolved=True)
    await push(world, connection, "disk", message="again")
    seen = [event["alert"] for event in (await anext(frames))["events"]]
    assert [each["state"] for each in seen] == ["ACKNOWLEDGED", "RESOLVED", "OPEN"]
    assert [each["flapCount"] for each in seen] == [0, 0, 1]
    assert [each["resolvedAt"] is None for each in seen] == [True, False, True]
    [now] = await queried(world)
    assert now == seen[-1], "a query says the same as the stream"
    assert [(each["state"], each["by"], each["note"]) for each in now["history"]] == [
        ("OPEN", None, None),
        ("ACKNOWLEDGED", "operator", "on it"),
        ("OPEN", None, None),
        ("ACKNOWLEDGED", "operator", None),
        ("RESOLVED", None, None),
        ("OPEN", None, None),
    ]
    assert (now["version"], now["message"], now["subject"]["__typename"]) == (6, "again", "Orchestrator")


@pytest.mark.parametrize("note", ["n" * 2000, "", "mehrere Wörter 🚒"])
async def test_notes(world: World, note: str) -> None:
    await push(world, await world.connect(), "disk")
    [alert] = await queried(world)
    await acknowledge(world, alert["id"], note=note)
    assert (await queried(world))[0]["acknowledgement"]["note"] == note


async def test_what_a_clusters_settings_are_about(world: World) -> None:
    """An unhealthy backend and a queue that grows: each an alert that leads to what it is about."""
    connection = await world.connect()
    await report(world, connection, secret_backends=[backend()], dead_letters=[])
    bad = backend(health=BackendHealth.UNREACHABLE)
    await report(world, connection, secret_backends=[bad], dead_letters=[letter("l1")])
    found = {each["kind"]: each for each in await queried(world)}
    assert found.keys() == {"BACKEND_UNHEALTHY", "DEAD_LETTERS_GROWING"}
    assert found["BACKEND_UNHEALTHY"]["subject"]["__typename"] == "SecretBackend"
    assert found["DEAD_LETTERS_GROWING"]["subject"]["__typename"] == "Cluster"
    assert all(each["evidence"] for each in found.values())
    await report(world, connection, secret_backends=[backend()], dead_letters=[])
    assert {each["state"] for each in await queried(world)} == {"RESOLVED"}


async def furnish(world: World, clock: Clock) -> dict[str, Any]:
    """Alerts of two clusters, in every state; answers what filters can name."""
    one, two = await world.connect("a", "one"), await world.connect("b", "two")
    for number, (connection, key) in enumerate(((one, "disk"), (two, "disk"), (one, "cpu"), (two, "net"))):
        clock.advance(1)
        severity = [AlertSeverity.CRITICAL, AlertSeverity.INFO][number % 2]
        await push(world, connection, key, severity=severity)
    await push(world, two, "net", resolved=True)
    clock.advance(1)
    await report(world, two, secret_backends=[backend(health=BackendHealth.DEGRADED)])
    every = await queried(world)
    for number in (2, 0):
        clock.advance(1)
        await acknowledge(world, every[number]["id"])
    return {"cluster": every[0]["clusterId"], "subject": every[1]["subjectId"], "at": every[2]["openedAt"]}


async def test_a_query_and_a_stream_find_the_same(any_world: World, clock: Clock) -> None:
    world = any_world
    named = await furnish(world, clock)
    every = await queried(world)
    filters: list[dict[str, Any]] = [
        {"state": ["ACKNOWLEDGED"]},
        {"state": ["RESOLVED", "OPEN"]},
        {"severity": ["CRITICAL"]},
        {"kind": ["BACKEND_UNHEALTHY"]},
        {"message": {"contains": "DISK"}},
        {"clusterId": named["cluster"]},
        {"subjectId": named["subject"]},
        {"openedAt": {"since": named["at"]}},
        {"openedAt": {"until": named["at"]}},
        {"clusterId": named["cluster"], "state": ["ACKNOWLEDGED"], "message": {"eq": "disk"}},
    ]
    for where in filters:
        found = await queried(world, where=where)
        assert 0 < len(found) < len(every), where
        frames = world.frames(STREAM, where=where)
        assert (await anext(frames))["snapshot"]["alerts"] == found, where
        await frames.aclose()
    at = named["at"]
    early = {each["id"] for each in await queried(world, where={"openedAt": {"until": at}})}
    late = {each["id"] for each in await queried(world, where={"openedAt": {"since": at}})}
    assert early | late == {each["id"] for each in every}
    assert not early & late


async def test_a_stream_lets_go_of_what_fits_no_longer(world: World, clock: Clock) -> None:
    named = await furnish(world, clock)
    frames = world.frames(STREAM, where={"clusterId": named["cluster"], "state": ["OPEN"]})
    assert (await anext(frames))["snapshot"]["alerts"] == []
    one = await world.connect("a", "one")
    await push(world, await world.connect("b", "two"), "more")
    await push(world, one, "more")
    [event] = [each for each in (await anext(frames))["events"] if each["__typename"] == "AlertChanged"]
    assert event["alert"]["clusterId"] == named["cluster"]
    await acknowledge(world, event["alert"]["id"])
    [gone] = (await anext(frames))["events"]
    assert gone == {"__typename": "AlertRemoved", "id": event["alert"]["id"]}


async def test_who_was_acknowledged_longest_ago_comes_first(any_world: World, clock: Clock) -> None:
    await furnish(any_world, clock)
    found = await queried(any_world, order={"field": "ACKNOWLEDGED_AT", "direction": "ASC"})
    assert [each["message"] for each in found[:2]] == ["cpu", "disk"]
    assert {each["acknowledgement"] is None for each in found[2:]} == {True}
