"""Pages of a list that changes under the reader: what is there all the time is shown exactly once, in order."""

import base64
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from kici_gql.errors import InvalidInput
from kici_gql.store import Tx, paging, records
from kici_gql.store.paging import Listing, Order, Slice, Window
from kici_gql.tables import (
    Agent,
    AgentFigures,
    AgentRecord,
    Alert,
    Liveness,
    Orchestrator,
    new_serial,
    table_of,
)
from tests.world import World

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ORDERS = [
    Order(column, descending)
    for column in ("id", "agent_id", "last_heartbeat_at")
    for descending in (False, True)
]


def row(rng: random.Random, org_id: str, parents: dict[str, Any], number: int) -> dict[str, Any]:
    """Few different values, so that ties and missing values are the rule."""
    beat = None if rng.random() < 0.3 else NOW + timedelta(seconds=rng.randrange(4))
    return Agent(
        id=f"agt_{rng.randrange(10**9):09}",
        serial=new_serial(),
        org_id=org_id,
        **parents,
        agent_id=f"{rng.choice('aAbB_-é')}{number}",
        version="1",
        hostname="h",
        running_as="ci",
        platform="linux",
        arch="x",
        cpu_count=1,
        memory_total_mb=1,
        labels=[],
        max_concurrency=1,
        liveness=Liveness.ONLINE,
        liveness_reason="",
        liveness_since=NOW,
        first_seen_at=NOW,
        memory_used_mb=0,
        uptime_seconds=0,
        active_jobs=0,
        last_heartbeat_at=beat,
    ).model_dump()


def put(tx: Tx, agents: list[dict[str, Any]]) -> None:
    """Store them; those that never beat have no figures."""
    for model in (AgentRecord, AgentFigures):
        names = [column.name for column in table_of(model).c]
        told = [each for each in agents if model is AgentRecord or each["last_heartbeat_at"] is not None]
        records.add_many(tx.connection, model, [{name: each[name] for name in names} for each in told])


async def parents_of(world: World) -> dict[str, str]:
    await world.connect()
    [one] = await world.rows(Orchestrator)
    return {"orchestrator_id": one.id, "cluster_id": one.cluster_id}


async def page(world: World, parent: str, order: Order, window: Window) -> Slice[Agent]:
    found = await world.store.read(
        paging.pages, world.org_id, Listing(Agent, "cluster_id", (), order, window), [parent]
    )
    return found[parent]


async def churn(
    world: World, rng: random.Random, parents: dict[str, str], born: set[str], gone: set[str]
) -> None:
    """Some come, some go."""

    def work(tx: Tx) -> None:
        new = [row(rng, world.org_id, parents, rng.randrange(10**6)) for _ in range(rng.randrange(3))]
        put(tx, new)
        born.update(each["id"] for each in new)
        there = [each.id for each in tx.connection.execute(select(table_of(AgentRecord)))]
        doomed = rng.sample(there, min(len(there), rng.randrange(3)))
        records.remove(tx.connection, AgentRecord, doomed)
        gone.update(doomed)

    await world.store.transaction(world.org_id, work)


async def test_nothing_is_skipped_or_repeated(any_world: World) -> None:
    rng = random.Random(42)
    parents = await parents_of(any_world)
    for order in ORDERS:
        for backward in (False, True):
            await _walk(any_world, rng, parents, order, backward=backward)


async def _walk(
    world: World, rng: random.Random, parents: dict[str, str], order: Order, *, backward: bool
) -> None:
    def refill(tx: Tx) -> None:
        tx.connection.execute(table_of(AgentRecord).delete())
        put(tx, [row(rng, world.org_id, parents, n) for n in range(25)])

    await world.store.transaction(world.org_id, refill)
    whole = await page(world, parents["cluster_id"], order, Window(first=100))
    before = [each.id for each in whole.rows]
    born: set[str] = set()
    gone: set[str] = set()
    seen: list[Agent] = []
    at: str | None = None
    more = True
    while more:
        size = rng.randrange(1, 6)
        window = Window(last=size, before=at) if backward else Window(first=size, after=at)
        part = await page(world, parents["cluster_id"], order, window)
        more = part.has_previous if backward else part.has_next
        assert len(part.rows) <= size
        seen = [*part.rows, *seen] if backward else [*seen, *part.rows]
        if part.rows:
            at = part.cursor(part.rows[0] if backward else part.rows[-1])
        await churn(world, rng, parents, born, gone)
    ids = [each.id for each in seen]
    assert len(ids) == len(set(ids)), "somebody was shown twice"
    stayed = [id_ for id_ in before if id_ not in gone]
    assert [id_ for id_ in ids if id_ in set(stayed)] == stayed, "somebody was skipped, or out of order"


async def test_several_parents_get_the_pages_they_would_get_alone(any_world: World) -> None:
    rng = random.Random(7)
    for name in ("prod", "other"):
        await any_world.connect(name, name)
    parents = [
        {"orchestrator_id": each.id, "cluster_id": each.cluster_id}
        for each in await any_world.rows(Orchestrator)
    ]

    def fill(tx: Tx) -> None:
        for each in parents:
            put(tx, [row(rng, any_world.org_id, each, n) for n in range(9)])

    await any_world.store.transaction(any_world.org_id, fill)
    ids = [each["cluster_id"] for each in parents]
    for window in (Window(first=4), Window(last=4), Window(first=100), Window(first=0)):
        for order in ORDERS:
            together = await any_world.store.read(
                paging.pages, any_world.org_id, Listing(Agent, "cluster_id", (), order, window), ids
            )
            for id_ in ids:
                assert together[id_] == await page(any_world, id_, order, window)
    assert await any_world.store.read(paging.totals, Agent, "cluster_id", ids, []) == dict.fromkeys(ids, 9)


async def test_the_ends_of_a_list(any_world: World) -> None:
    rng = random.Random(1)
    parents = await parents_of(any_world)
    await any_world.store.transaction(
        any_world.org_id,
        lambda tx: put(tx, [row(rng, any_world.org_id, parents, n) for n in range(3)]),
    )
    parent = parents["cluster_id"]
    first = await page(any_world, parent, Order(), Window(first=2))
    assert (first.has_next, first.has_previous) == (True, False)
    rest = await page(any_world, parent, Order(), Window(first=2, after=first.cursor(first.rows[-1])))
    assert (len(rest.rows), rest.has_next, rest.has_previous) == (1, False, True)
    nothing = await page(any_world, parent, Order(), Window(first=2, after=rest.cursor(rest.rows[-1])))
    assert (nothing.rows, nothing.has_next) == ([], False)
    between = Window(first=5, after=first.cursor(first.rows[0]), before=rest.cursor(rest.rows[0]))
    assert [each.id for each in (await page(any_world, parent, Order(), between)).rows] == [first.rows[1].id]


@pytest.mark.parametrize(
    "window",
    [Window(first=101), Window(first=-1), Window(last=-1), Window(last=1000), Window(first=1, last=1)],
)
async def test_bad_bounds(world: World, window: Window) -> None:
    with pytest.raises(InvalidInput):
        await page(world, "clu_x", Order(), window)


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


FORGED = [
    "",
    "x",
    "ä",
    "%%%",
    "\x00",
    "a" * 100_000,
    forged(),
    forged("id", False, "agt_1"),
    forged("id", False, "agt_1", 5),
    forged("id", False, "agt_1", "agt_1", "more"),
    forged("agent_id", False, "a", "agt_1"),
    forged("last_heartbeat_at", True, None, "agt_1"),
    forged("last_heartbeat_at", False, "yesterday", "agt_1"),
    forged("last_heartbeat_at", False, 5, "agt_1"),
    forged("last_heartbeat_at", False, [], "agt_1"),
    forged("last_heartbeat_at", False, "2026-01-31T00:00:00", "agt_1"),
    forged("last_heartbeat_at", False, "2026-01-31", "agt_1"),
    forged("last_heartbeat_at", False, "0001-01-01T00:00:00+14:00", "agt_1"),
    forged("last_heartbeat_at", False, "9999-12-31T23:59:59-14:00", "agt_1"),
    forged("last_heartbeat_at", False, None, "agt_\x00"),
    forged({"a": 1}, False, None, "agt_1"),
    base64.urlsafe_b64encode(b"[" * 5000).decode(),
]


async def test_what_is_no_cursor_of_this_list(any_world: World) -> None:
    order = Order("last_heartbeat_at")
    for cursor in FORGED:
        for window in (Window(first=1, after=cursor), Window(last=1, before=cursor)):
            with pytest.raises(InvalidInput) as raised:
                await page(any_world, "clu_x", order, window)
            assert raised.value.path in {("after",), ("before",)}


def test_orders_on_what_may_be_missing_are_covered() -> None:
    """Every column that the API orders by and that may be null is in ORDERS or can't be null."""
    columns: Sequence[tuple[Any, str]] = [(Alert, "opened_at"), (Alert, "updated_at"), (Agent, "agent_id")]
    assert not any(table_of(model).c[name].nullable for model, name in columns)
    assert table_of(Agent).c.last_heartbeat_at.nullable
