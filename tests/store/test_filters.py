"""A filter finds the same in SQL as in a running stream, whatever the texts are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, select

from kici_gql.store import Tx, filters, records
from kici_gql.store.filters import Condition
from kici_gql.store.records import add_many, state_of
from kici_gql.tables import Agent, AgentFigures, AgentRecord, Liveness, table_of
from tests.world import World, agent, host

# Characters that mean something to LIKE, to JSON or to a letter case, and a few that mean nothing.
POOL = ["a", "A", "Ä", "ä", "%", "_", "a%", '"', "aA", "", "\\"]
TEXTS = (
    st.sampled_from(POOL)
    | st.text('aAäÄ%_/\\",é🚀\n', max_size=3)
    | st.sampled_from(["ß", "ẞ", "SS", "İ", "i", "ı", "Σ", "ς", "A-9"])
)
NAMES = TEXTS.filter(bool)
LISTS = st.lists(NAMES, max_size=3)
TIMES = [datetime(2026, 1, 31, 12, second, micro, tzinfo=UTC) for second in (0, 1) for micro in (0, 1)]
AGENTS = st.lists(
    st.fixed_dictionaries(
        {
            "hostname": NAMES,
            "version": TEXTS,
            "labels": LISTS,
            "paused": st.booleans(),
            "liveness": st.sampled_from(Liveness),
            "scaler_id": st.none() | st.sampled_from(["scl_1", "scl_2"]),
            "last_heartbeat_at": st.none() | st.sampled_from(TIMES),
        }
    ),
    min_size=1,
    max_size=6,
)


def conditions() -> st.SearchStrategy[list[Condition]]:
    def one(
        field: str, operator: filters.Operator, values: st.SearchStrategy[Any]
    ) -> st.SearchStrategy[Condition]:
        return st.lists(values, min_size=1, max_size=3).map(
            lambda given: Condition(field, operator, tuple(given))
        )

    return st.lists(
        st.one_of(
            one("hostname", "in", TEXTS),
            one("hostname", "contains", TEXTS),
            one("version", "contains", TEXTS),
            one("labels", "has", TEXTS),
            one("paused", "in", st.booleans()),
            one("liveness", "in", st.sampled_from(Liveness)),
            st.just(Condition("scaler_id", "null", ())),
            st.sampled_from(TIMES).map(lambda moment: Condition("last_heartbeat_at", "since", (moment,))),
            st.sampled_from(TIMES).map(lambda moment: Condition("last_heartbeat_at", "until", (moment,))),
        ),
        max_size=2,
    )


def rows_of(agents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        AgentRecord(
            id=f"agt_{number}",
            serial=number,
            org_id="org_1",
            cluster_id="clu_1",
            orchestrator_id="orc_1",
            agent_id=str(number),
            running_as="ci",
            platform="linux",
            arch="x",
            cpu_count=1,
            memory_total_mb=1,
            max_concurrency=1,
            liveness_reason="",
            liveness_since=now,
            first_seen_at=now,
            **values,
        ).model_dump()
        for number, values in enumerate(agents)
    ]


def check(connection: Connection, agents: Sequence[dict[str, Any]], wanted: Sequence[Condition]) -> None:
    add_many(connection, AgentRecord, rows_of(agents))
    table = table_of(Agent)
    found = connection.execute(select(table).where(*filters.clauses(Agent, wanted))).all()
    every = connection.execute(select(table)).all()
    assert {row.id for row in found} == {
        row.id
        for row in every
        if filters.matches(wanted, state_of(row))  # type: ignore[arg-type]
    }


@pytest.fixture(scope="module")
def sqlite() -> Engine:
    engine = create_engine("sqlite://", json_serializer=lambda value: orjson.dumps(value).decode())
    for model in (AgentRecord, AgentFigures):
        table_of(model).create(engine)
    return engine


FINDS: list[tuple[str, list[str], Condition, bool]] = [
    ("HOST-9", [], Condition("hostname", "contains", ("host",)), True),
    ("host-9", [], Condition("hostname", "contains", ("x", "T-9")), True),
    ("host-9", [], Condition("hostname", "contains", ("",)), True),
    ("host-9", [], Condition("hostname", "in", ("HOST-9",)), False),
    ("100%", [], Condition("hostname", "contains", ("0%",)), True),
    ("100", [], Condition("hostname", "contains", ("%",)), False),
    ("a_b", [], Condition("hostname", "contains", ("a-b",)), False),
    ("Ärger", [], Condition("hostname", "contains", ("Är",)), True),
    ("Ärger", [], Condition("hostname", "contains", ("är",)), False),
    ("x", ["GPU"], Condition("labels", "has", ("gpu",)), False),
    ("x", ["a", "b"], Condition("labels", "has", ("a, b", "b")), True),
    ("x", ["a", "b"], Condition("labels", "has", ('a","b',)), False),
    ("x", ["ab"], Condition("labels", "has", ("a",)), False),
    ("x", ["ü"], Condition("labels", "has", ("ü",)), True),
    ("x", ['q"q\\'], Condition("labels", "has", ('q"q\\',)), True),
    ("x", ['q"a'], Condition("labels", "has", ("a",)), False),  # written as "q\"a"
    ("x", ['"'], Condition("labels", "has", ("",)), False),
    ("x", ["a,", "b"], Condition("labels", "has", (",",)), False),
    ("x", [], Condition("labels", "has", ("",)), False),
    ("x", [""], Condition("labels", "has", ("",)), True),
]


async def test_what_is_found(any_world: World) -> None:
    await any_world.connect(agents=[agent("a1", None, host=host("plain"))])

    def look(tx: Tx, hostname: str, labels: list[str], condition: Condition) -> tuple[bool, bool]:
        [row] = tx.connection.execute(select(table_of(Agent))).all()
        values = {"hostname": hostname, "labels": labels}
        new = records.change(tx.connection, AgentRecord, row.id, values)
        query = select(table_of(Agent)).where(*filters.clauses(Agent, [condition]))
        return bool(tx.connection.execute(query).all()), filters.matches([condition], state_of(new))

    for hostname, labels, condition, found in FINDS:
        work = partial(look, hostname=hostname, labels=labels, condition=condition)
        assert await any_world.store.transaction(any_world.org_id, work) == (found, found), (
            hostname,
            labels,
            condition,
        )


@given(AGENTS, conditions())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sqlite_finds_what_a_stream_finds(
    sqlite: Engine, agents: list[dict[str, Any]], wanted: list[Condition]
) -> None:
    with sqlite.connect() as connection, connection.begin() as transaction:
        check(connection, agents, wanted)
        transaction.rollback()
