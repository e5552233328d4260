"""Answers are kept as long as nothing they show can have changed, and never any longer."""

from collections.abc import Collection
from typing import Any

import orjson
import pytest

from kici_gql.api.engine.kept import KeptAnswers
from kici_gql.api.engine.operations import Operations, Result
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.api.schema import schema
from kici_gql.api.stable import STABLE
from tests.world import World, agent, beat_of, scaler

TREE = """query ($first: Int = 10) { org { cursor clusters(first: $first) { nodes { name connected orchestrators { nodes {
  displayId liveness { state since } scalers { nodes { name agents { totalCount nodes {
  agentId memoryUsedMb labels { name kind } scaler { name } } } } } } } } } } }"""


class Asking:
    def __init__(self, world: World) -> None:
        make_context = world.operations._execution._make_context  # noqa: SLF001 - the world's own

        async def position(viewer: Any) -> str:
            return str(await world.store.head(viewer.org_id))

        self.world = world
        self.kept = KeptAnswers(position, STABLE)
        self.operations = Operations(schema, make_context, kept=self.kept)

    async def ask(
        self,
        query: str,
        by: str = "ADMIN",
        org: str = "default",
        have: Collection[str] = (),
        **variables: Any,
    ) -> Result:
        prepared = self.operations.prepare(GraphQLRequest(query, None, variables))
        return await self.operations.run(prepared, self.world.viewer(by, org), have=have)


@pytest.fixture
async def asking(any_world: World) -> Asking:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1", labels=["x"])])
    await any_world.beat(connection, [beat_of("a1", memory_used_mb=5)])
    asking = Asking(any_world)
    asking.connection = connection  # type: ignore[attr-defined]
    for _ in range(3):  # graphql-core, generated code, kept
        await asking.ask(TREE)
    return asking


async def test_the_same_question_at_the_same_position_is_answered_from_memory(asking: Asking) -> None:
    hits = asking.kept.hits
    first, second = await asking.ask(TREE), await asking.ask(TREE)
    assert asking.kept.hits == hits + 2
    assert first.body == second.body
    assert orjson.loads(first.body)["data"]["org"]["clusters"]["nodes"][0]["connected"] is True
    assert first.tag is not None
    for have in ({first.tag}, {"another", first.tag}, {"*"}):
        assert (await asking.ask(TREE, have=have)) == Result(b"", first.tag, unchanged=True)


async def test_a_beat_ends_it_at_once(asking: Asking) -> None:
    before = await asking.ask(TREE)
    await asking.world.beat(asking.connection, [beat_of("a1", memory_used_mb=77)])  # type: ignore[attr-defined]
    assert before.tag is not None
    after = await asking.ask(TREE, have={before.tag})
    assert b'"memoryUsedMb":77' in after.body
    assert after.tag != before.tag


async def test_other_variables_rights_and_orgs_have_other_answers(asking: Asking) -> None:
    mine = await asking.ask(TREE)
    assert (await asking.ask(TREE, first=0)).body != mine.body
    viewer = await asking.ask(TREE, by="VIEWER")
    assert viewer.tag != mine.tag
    other = await asking.ask(TREE, org="other")
    assert other.body != mine.body
    assert b"errors" in (await asking.ask(TREE, by="ORCHESTRATOR")).body


@pytest.mark.parametrize(
    "field",
    ["agents { nodes { heartbeatAgeSeconds } }", "auditLog { nodes { action } }", "tokens { lastUsedAt }",
     "agents { nodes { liveness { missedBeats } } }"],
)  # fmt: skip
async def test_what_moves_without_the_log_is_never_kept(asking: Asking, field: str) -> None:
    before = len(asking.kept)
    for _ in range(3):
        assert (await asking.ask(f"{{ org {{ {field} }} }}")).tag is None
    for _ in range(3):
        assert (await asking.ask("{ serverInfo { time } org { id } }")).tag is None
    assert len(asking.kept) == before


def test_every_stable_field_is_there() -> None:
    known = {
        f"{name}.{field}"
        for name, type_ in schema._schema.type_map.items()  # noqa: SLF001
        for field in getattr(type_, "fields", {})
    }
    assert known >= STABLE


async def test_kept_answers_are_bounded() -> None:
    kept = KeptAnswers(lambda _: _none(), STABLE, max_bytes=100)
    for number in range(50):
        kept.keep(str(number), b"x" * 20)
    assert len(kept) == 5
    kept.keep("large", b"x" * 60)
    assert kept.get("large") is None


async def _none() -> None:
    return None


async def test_variables_that_nobody_declared_may_be_anything(asking: Asking) -> None:
    deep: Any = orjson.loads("[" * 400 + "]" * 400)
    for _ in range(4):
        assert orjson.loads((await asking.ask("{ org { slug } }", x=deep)).body) == {
            "data": {"org": {"slug": "default"}}
        }
