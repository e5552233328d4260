"""Reports of a cluster's own settings."""

from typing import Any

import pytest

from kici_gql.api.mutations.settings_inputs import (
    EnvironmentInput,
    SecretScopeInput,
    SecurityPolicyInput,
    SettingInput,
)
from kici_gql.errors import Forbidden, InvalidInput, KiciError, LimitExceeded, UnknownConnection
from kici_gql.tables import (
    Alert,
    AlertKind,
    AlertState,
    Audit,
    AuditOutcome,
    BackendHealth,
    Cluster,
    ReportedSurface,
    SecretBackend,
)
from tests.governed import SCOPED, SURFACES, backend, codes, everything, letter, marks, policy, report
from tests.world import World

CANARY = "kgq_canary0123456789abcdef"


async def settings_events(world: World) -> list[str]:
    return [
        event.data.get("surface") or event.type
        for _, event in await world.events()
        if event.type.topic == "settings"
    ]


async def alert(world: World, kind: AlertKind) -> Any:
    found = await world.rows(Alert, kind=kind)
    return found[0] if found else None


async def test_a_report_is_shown_and_told_once(any_world: World) -> None:
    world = any_world
    connection = await world.connect()
    await report(world, connection, **everything("m"))
    cluster = (await world.data(SURFACES.replace("registrations { nodes { name } }", ""), name="prod"))[
        "org"
    ]["cluster"]
    assert marks(cluster) == dict.fromkeys(SCOPED, "m")
    told = await settings_events(world)
    assert sorted(told) == [
        "DEAD_LETTERS", "ENVIRONMENTS", "GLOBAL_WORKFLOWS", "SECRET_SCOPES", "SECURITY_POLICY", "backend.changed",
    ]  # fmt: skip
    await report(world, connection, **everything("m"))
    assert await settings_events(world) == told
    await report(world, connection, environments=[])
    assert (await settings_events(world))[len(told) :] == ["ENVIRONMENTS"]
    assert len(await world.rows(ReportedSurface)) == 5


async def test_backends_that_are_not_told_any_more_are_gone(world: World) -> None:
    connection = await world.connect()
    await report(world, connection, secret_backends=[backend("a"), backend("b")])
    ids = {row.name: row.id for row in await world.rows(SecretBackend)}
    await report(world, connection, secret_backends=[backend("b", scopes=["z", "y"]), backend("c")])
    rows = {row.name: row for row in await world.rows(SecretBackend)}
    assert rows.keys() == {"b", "c"}
    assert (rows["b"].id, rows["b"].revision, rows["b"].scopes) == (ids["b"], 2, ["y", "z"])
    assert (await settings_events(world))[-3:] == ["backend.changed", "backend.changed", "backend.removed"]


async def test_an_unhealthy_backend_is_an_alert_until_it_is_well_or_gone(world: World) -> None:
    connection = await world.connect()
    await report(world, connection, secret_backends=[backend()])
    assert await alert(world, AlertKind.BACKEND_UNHEALTHY) is None
    for flaps, bad in enumerate((BackendHealth.DEGRADED, BackendHealth.UNREACHABLE)):
        await report(world, connection, secret_backends=[backend(health=bad)])
        row = await alert(world, AlertKind.BACKEND_UNHEALTHY)
        assert (row.state, row.flap_count) == (AlertState.OPEN, flaps)
        assert bad.lower() in row.message
        await report(world, connection, secret_backends=[backend()])
        assert (await alert(world, AlertKind.BACKEND_UNHEALTHY)).state is AlertState.RESOLVED
    await report(world, connection, secret_backends=[backend(health=BackendHealth.UNREACHABLE)])
    await report(world, connection, secret_backends=[])
    row = await alert(world, AlertKind.BACKEND_UNHEALTHY)
    assert (row.state, row.flap_count, len(row.history)) == (AlertState.RESOLVED, 2, 6)


async def test_a_growing_queue_is_an_alert_until_it_shrinks(world: World) -> None:
    connection = await world.connect()

    async def queue(length: int) -> Any:
        await report(world, connection, dead_letters=[letter(f"l{number}") for number in range(length)])
        return await alert(world, AlertKind.DEAD_LETTERS_GROWING)

    assert await queue(2) is None  # what was there before anybody looked has not grown
    assert await queue(2) is None
    assert (await queue(3)).state is AlertState.OPEN
    row = await queue(5)
    assert (row.state, row.message) == (AlertState.OPEN, "The dead-letter queue of cluster prod grew to 5")
    assert (await queue(5)).state is AlertState.OPEN
    assert (await queue(4)).state is AlertState.RESOLVED
    row = await queue(6)
    assert (row.state, row.flap_count) == (AlertState.OPEN, 1)
    assert (await queue(0)).state is AlertState.RESOLVED


REFUSED: list[tuple[dict[str, Any], type[KiciError], str]] = [
    ({"environments": [EnvironmentInput(name="a"), EnvironmentInput(name="a")]}, InvalidInput, "environments"),
    ({"environments": [EnvironmentInput(name="")]}, InvalidInput, "environments.0.name"),
    ({"dead_letters": [letter(CANARY)]}, InvalidInput, "deadLetters"),
    ({"dead_letters": [letter("l" * 257)]}, InvalidInput, "deadLetters.0.id"),
    ({"dead_letters": [letter(f"l{n}") for n in range(1001)]}, LimitExceeded, "deadLetters"),
    ({"dead_letters": [letter(attempts=-1)]}, InvalidInput, "deadLetters.0.attempts"),
    ({"dead_letters": [letter(event_name="a\0b")]}, InvalidInput, "deadLetters.0.eventName"),
    ({"environments": [EnvironmentInput(name="a", variable_names=["a\0b"])]}, InvalidInput,
        "environments.0.variableNames.0"),
    ({"security_policy": SecurityPolicyInput(settings=[SettingInput(key="a", value="\x1b")])}, InvalidInput,
        "securityPolicy.settings.a"),
    ({"security_policy": SecurityPolicyInput(settings=[SettingInput(key="", value="a")])}, InvalidInput,
        "securityPolicy.settings"),
    ({"secret_backends": [backend("a"), backend("a")]}, InvalidInput, "secretBackends"),
    ({"secret_backends": [backend(CANARY)]}, InvalidInput, "secretBackends.0.name"),
    ({"secret_backends": [backend(scopes=[CANARY])]}, InvalidInput, "secretBackends.0"),
    (
        {"secret_scopes": [SecretScopeInput(name="s", secret_names=["AKIAIOSFODNN7EXAMPLE"])]},
        InvalidInput,
        "secretScopes",
    ),
    ({"environments": [EnvironmentInput(name="x" * 256, variable_names=["v" * 600_000])]}, LimitExceeded, "environments"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "error", "path"), REFUSED)
async def test_a_bad_report_is_refused_whole_and_audited(
    world: World, parts: dict[str, Any], error: type[KiciError], path: str
) -> None:
    connection = await world.connect()
    state = await world.dump("audit")
    with pytest.raises(error) as refused:
        await report(world, connection, **{"security_policy": policy(), **parts})
    assert ".".join(refused.value.path or ()).startswith(path)
    assert CANARY not in str(refused.value)
    assert await world.dump("audit") == state
    [row] = await world.rows(Audit, action="orchestratorReportSettings")
    assert (row.outcome, row.error_code) == (AuditOutcome.REFUSED, error.code)


async def test_words_lose_their_secrets(world: World) -> None:
    connection = await world.connect()
    said = f"403 for token {CANARY} at vault"
    letters = [letter("l1", reason=said, last_error=said), letter("l2")]
    await report(world, connection, secret_backends=[backend(last_error=said)], dead_letters=letters)
    [row] = await world.rows(SecretBackend)
    assert row.last_error == "403 for token … at vault"
    [queue] = await world.rows(ReportedSurface)
    first, second = queue.document["items"]
    assert (first["reason"], first["lastError"]) == ("403 for token … at vault",) * 2
    assert second["reason"] is None
    assert CANARY not in str(await world.dump()) + str(await world.log())


async def test_who_may_report(world: World) -> None:
    connection = await world.connect()
    with pytest.raises(UnknownConnection):
        await report(world, "nobody", environments=[])
    with pytest.raises(UnknownConnection):
        await report(world, connection, org="other", environments=[])


async def test_of_two_clusters_with_one_name_the_elder_speaks(world: World) -> None:
    elder = await world.connect("prod", "one", cluster_key="k1")
    await report(world, elder, **everything("elder"))
    other = await world.connect("prod", "two", cluster_key="k2")
    with pytest.raises(Forbidden):
        await report(world, other, **everything("other"))
    await report(world, await world.connect("prod", "three", cluster_key="k1"), **everything("sibling"))
    shown = (await world.run(SURFACES, name="prod"))["data"]["org"]["cluster"]
    assert marks(shown) == dict.fromkeys(SCOPED, "sibling")


async def test_nothing_told_is_not_the_same_as_nothing_there(world: World) -> None:
    connection = await world.connect()
    assert await codes(world, "prod") == dict.fromkeys([*SCOPED, "registrations"], "UNAVAILABLE")
    empty: dict[str, Any] = {
        "environments": [],
        "secret_scopes": [],
        "dead_letters": [],
        "secret_backends": [],
    }
    await report(world, connection, **empty)
    assert await codes(world, "prod") == dict.fromkeys(
        ["securityPolicy", "globalWorkflows", "registrations"], "UNAVAILABLE"
    )
    shown = (await world.run(SURFACES, name="prod"))["data"]["org"]["cluster"]
    assert (shown["secretBackends"], shown["environments"]) == ([], {"nodes": []})
    [row] = await world.rows(Cluster)
    assert row.backends_reported_at == world.store.now()
