"""Reported alerts, and what people do about alerts."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import alerts
from kici_gql.actions.perform import Done
from kici_gql.api.mutations.inputs import ReportedAlertInput
from kici_gql.errors import Conflict, Forbidden, IdempotencyConflict, InvalidInput, NotFound, VersionConflict
from kici_gql.tables import Alert, AlertSeverity, AlertState, Audit
from tests.world import Clock, World


def problem(key: str = "disk", message: str = "full", **more: Any) -> ReportedAlertInput:
    values: dict[str, Any] = {"severity": AlertSeverity.WARNING}
    return ReportedAlertInput(**{"dedupe_key": key, "message": message, **values, **more})


async def report(world: World, connection: str, *problems: ReportedAlertInput) -> list[str | None]:
    done = await alerts.report(world.call("ORCHESTRATOR"), connection, problems)
    ids: list[str | None] = done.result["alert_ids"]
    return ids


async def acknowledge(world: World, alert_id: str, by: str = "OPERATOR", **more: Any) -> Done:
    given = {"note": None, "until": None, "expected_version": None, "idempotency_key": None} | more
    return await alerts.acknowledge(world.call(by), alert_id, **given)


@pytest.fixture
async def alert_id(any_world: World) -> str:
    [id_] = await report(any_world, await any_world.connect(), problem())
    assert id_
    return id_


async def only(world: World) -> Any:
    [row] = await world.rows(Alert)
    return row


async def test_a_reported_life(any_world: World) -> None:
    connection = await any_world.connect()
    [first] = await report(any_world, connection, problem())
    [same] = await report(any_world, connection, problem(message="fuller", severity=AlertSeverity.CRITICAL))
    assert first == same
    row = await only(any_world)
    assert (row.message, row.severity, row.state) == ("fuller", AlertSeverity.CRITICAL, AlertState.OPEN)
    assert await report(any_world, connection, problem(resolved=True), problem("other", resolved=True)) == [
        first,
        None,
    ]
    assert (await only(any_world)).state is AlertState.RESOLVED
    await report(any_world, connection, problem())
    row = await only(any_world)
    assert (row.state, row.flap_count) == (AlertState.OPEN, 1)


async def test_the_same_key_in_two_clusters_is_two_alerts(any_world: World) -> None:
    for cluster in ("a", "b"):
        await report(any_world, await any_world.connect(cluster), problem())
    assert len(await any_world.rows(Alert)) == 2


async def test_acknowledging(any_world: World, alert_id: str, clock: Clock) -> None:
    until = clock() + timedelta(hours=1)
    await acknowledge(any_world, alert_id, note="on it", until=until)
    row = await only(any_world)
    assert (row.state, row.acknowledged_by, row.acknowledged_note) == (
        AlertState.ACKNOWLEDGED,
        "operator",
        "on it",
    )
    assert (row.acknowledged_until, row.revision) == (until, 2)


async def test_what_can_not_be_acknowledged(any_world: World, alert_id: str, clock: Clock) -> None:
    before = await any_world.dump("audit")
    refusals: list[tuple[type[Exception], dict[str, Any]]] = [
        (NotFound, {"alert_id": "alr_" + "0" * 32}),
        (NotFound, {"alert_id": "nonsense"}),
        (NotFound, {"alert_id": "\x00"}),
        (NotFound, {"alert_id": "x" * 100_000}),
        (InvalidInput, {"until": clock()}),
        (InvalidInput, {"until": clock() - timedelta(days=800)}),
        (InvalidInput, {"note": "n" * 2001}),
        (InvalidInput, {"note": "a\x00b"}),
        (InvalidInput, {"idempotency_key": ""}),
        (InvalidInput, {"idempotency_key": "k" * 257}),
        (VersionConflict, {"expected_version": 7}),
        (Forbidden, {"by": "VIEWER"}),
        (Forbidden, {"by": "ORCHESTRATOR"}),
    ]
    for kind, more in refusals:
        with pytest.raises(kind):
            await acknowledge(any_world, **{"alert_id": alert_id, **more})
    assert await any_world.dump("audit") == before
    entries = await any_world.rows(Audit, action="alertAcknowledge")
    assert len(entries) == len(refusals)
    assert all(len(str(entry)) < 1000 for entry in entries), "nobody fills the audit log with noise"


async def test_a_resolved_alert_has_nothing_to_acknowledge(any_world: World, alert_id: str) -> None:
    connection = await any_world.connect()
    await report(any_world, connection, problem(resolved=True))
    with pytest.raises(Conflict):
        await acknowledge(any_world, alert_id)


async def test_another_orgs_alert_is_not_there(any_world: World, alert_id: str) -> None:
    before = await any_world.dump("audit")
    with pytest.raises(NotFound) as raised:
        await alerts.acknowledge(any_world.call("OPERATOR", "other"), alert_id, None, None, None, None)
    with pytest.raises(NotFound) as unheard_of:
        await acknowledge(any_world, "alr_" + "0" * 32)
    assert raised.value.message == unheard_of.value.message
    assert await any_world.dump("audit") == before


async def test_two_people_at_once(any_world: World, alert_id: str) -> None:
    results = await asyncio.gather(
        *(acknowledge(any_world, alert_id, note=str(n), expected_version=1) for n in range(5)),
        return_exceptions=True,
    )
    assert [isinstance(each, VersionConflict) for each in results].count(True) == 4
    assert (await only(any_world)).revision == 2


async def test_a_retry_is_answered_even_when_its_time_is_over(
    any_world: World, alert_id: str, clock: Clock
) -> None:
    given: dict[str, Any] = {"until": clock() + timedelta(seconds=30), "idempotency_key": "k"}
    first = await acknowledge(any_world, alert_id, **given)
    clock.advance(60)
    again = await acknowledge(any_world, alert_id, **given)
    assert (again.replayed, again.cursor) == (True, first.cursor)
    with pytest.raises(IdempotencyConflict):
        await acknowledge(any_world, alert_id, note="another", idempotency_key="k")
