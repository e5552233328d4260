"""A cluster's settings are asked for in one process and answered by another one, which holds the connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kici_gql.actions import orchestrators, questions
from kici_gql.actions.surfaces import Surfaces
from kici_gql.errors import Unavailable
from kici_gql.tables import Cluster, Orchestrator, Question, Surface
from tests.relay.live import Link, Relay
from tests.relay.recorded import ENVIRONMENT_ANSWERS, answers
from tests.world import connecting

ENVIRONMENTS = answers("lists", "dashboard.environments.list.response")[1]
ASKING = "dashboard.environments.list"


@pytest.fixture
async def relay(any_world: Any) -> AsyncIterator[Relay]:
    """The process that holds the connections, on either database."""
    opened = Relay(any_world)
    yield opened
    await opened.close()


@pytest.fixture
def elsewhere(relay: Relay) -> Surfaces:
    """Another process on the same database: it has no connection."""
    return Surfaces(relay.world.store, relay.world.feed)


async def cluster_of(relay: Relay) -> str:
    [cluster] = await relay.world.rows(Cluster)
    cluster_id: str = cluster.id
    return cluster_id


async def orphaned(relay: Relay) -> str:
    """A cluster whose orchestrator counts as connected, to a process that was killed a moment ago."""
    world = relay.world
    async with relay.link():
        [row] = await world.rows(Orchestrator)
        await orchestrators.connect(
            world.call("ORCHESTRATOR"), connecting("probe-one", row.instance_id), held_by="another"
        )
    return await cluster_of(relay)


async def test_another_process_is_answered_as_the_own_one_is(relay: Relay, elsewhere: Surfaces) -> None:
    async with relay.link() as link:
        link.answers[ASKING] = ENVIRONMENTS
        org_id, cluster_id = relay.world.org_id, await cluster_of(relay)
        for surface in (Surface.ENVIRONMENTS, Surface.SECURITY_POLICY):
            there = await elsewhere.read(org_id, cluster_id, surface)
            here = await relay.surfaces.read(org_id, cluster_id, surface)
            assert there.document == here.document
        assert len(link.asked(ASKING)) == 2
    assert await relay.world.rows(Question) == [], "what was answered is not kept"


async def test_many_ask_at_once_and_each_gets_its_own_answer(relay: Relay, elsewhere: Surfaces) -> None:
    async with relay.link() as link:
        link.answers |= ENVIRONMENT_ANSWERS
        link.answers["dashboard.environments.secrets.list"] = answers(
            "lists", "dashboard.environments.secrets.list.response"
        )[0]
        org_id, cluster_id = relay.world.org_id, await cluster_of(relay)
        wanted = [Surface.ENVIRONMENTS, Surface.SECRET_SCOPES] * 10
        told = await asyncio.gather(*(elsewhere.read(org_id, cluster_id, each) for each in wanted))
        documents = [each.document for each in told]
        assert documents[0] != documents[1]
        assert documents == documents[:2] * 10


async def test_a_refusal_reaches_whoever_asked(relay: Relay, elsewhere: Surfaces) -> None:
    async with relay.link() as link:
        link.answers[ASKING] = {"type": "x.response", "error": "boom"}
        with pytest.raises(Unavailable, match="boom"):
            await elsewhere.read(relay.world.org_id, await cluster_of(relay), Surface.ENVIRONMENTS)


async def test_a_refusal_over_graphql_is_asked_for_once(relay: Relay) -> None:
    query = "query ($name: String!) { org { cluster(name: $name) { environments { nodes { name } } } } }"
    async with relay.link() as link:
        link.answers[ASKING] = {"type": "x.response", "error": "boom"}
        told = await relay.world.run(query, name="probe-one")
        [error] = told["errors"]
        assert (error["message"], error["extensions"]["code"]) == ("boom", "UNAVAILABLE")
        assert len(link.asked(ASKING)) == 1


async def test_one_that_never_answers_keeps_nobody_waiting(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait for it in the own process."""
    monkeypatch.setattr(questions, "ANSWER_SECONDS", 0.2)
    async with relay.link() as link:
        link.answers[ASKING] = None
        org_id, cluster_id = relay.world.org_id, await cluster_of(relay)
        told = await asyncio.gather(
            *(relay.surfaces.read(org_id, cluster_id, Surface.ENVIRONMENTS) for _ in range(5)),
            return_exceptions=True,
        )
    assert [type(each) for each in told] == [Unavailable] * 5


async def test_nobody_answers_in_time(
    relay: Relay, elsewhere: Surfaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "ANSWER_SECONDS", 0.2)
    cluster_id = await orphaned(relay)
    with pytest.raises(Unavailable, match=r"nobody answered .* within 0.2 s") as raised:
        await elsewhere.read(relay.world.org_id, cluster_id, Surface.ENVIRONMENTS)
    assert raised.value.retryable
    assert await relay.world.rows(Question) == []


async def test_a_question_waits_for_the_orchestrator_that_comes_back(
    relay: Relay, elsewhere: Surfaces
) -> None:
    cluster_id = await orphaned(relay)
    asked = asyncio.create_task(elsewhere.read(relay.world.org_id, cluster_id, Surface.ENVIRONMENTS))
    while not await relay.world.rows(Question):  # noqa: ASYNC110 - it is a database that is waited for
        await asyncio.sleep(0.01)
    again = Link(relay)
    again.answers[ASKING] = ENVIRONMENTS
    await again.introduce()
    assert (await asked).document["items"]
    await again.hang_up()


async def test_a_question_that_is_handed_over_twice_is_asked_once(relay: Relay) -> None:
    """As happens when it is asked while the orchestrator is joining."""
    world = relay.world
    async with relay.link() as link:
        link.answers[ASKING] = ENVIRONMENTS
        link.answers["dashboard.environments.secrets.list"] = answers(
            "lists", "dashboard.environments.secrets.list.response"
        )[0]
        [row] = await world.rows(Orchestrator)
        question = Question(
            id="qst_1",
            org_id=world.org_id,
            orchestrator_id=row.id,
            surface=Surface.ENVIRONMENTS,
            asked_at=world.store.now(),
        )
        [connection] = relay.endpoint._open  # noqa: SLF001 - the dispatch hands it over like this
        connection.inquire(question)
        connection.inquire(question)
        # One is asked after the other, so when this is answered a second one would have been asked.
        await relay.surfaces.read(world.org_id, await cluster_of(relay), Surface.SECRET_SCOPES)
        assert len(link.asked(ASKING)) == 1


async def test_the_first_answer_counts_and_a_late_one_harms_nobody(relay: Relay, elsewhere: Surfaces) -> None:
    world = relay.world
    async with relay.link() as link:
        link.answers[ASKING] = None
        asked = asyncio.create_task(
            elsewhere.read(world.org_id, await cluster_of(relay), Surface.ENVIRONMENTS)
        )
        await link.until(lambda: bool(link.asked(ASKING)))
        [question] = await world.rows(Question)
        await questions.answer(world.store, question, {"items": ["first"]})
        assert (await asked).document == {"items": ["first"]}
        await questions.answer(world.store, question, Unavailable("too late"))
    assert await world.rows(Question) == []


async def test_who_pushes_is_not_asked(relay: Relay, elsewhere: Surfaces) -> None:
    """A push cluster that has not reported a surface says so at once."""
    await relay.world.connect("pushed", "one")
    [cluster] = await relay.world.rows(Cluster)
    with pytest.raises(Unavailable, match="have not told"):
        await elsewhere.read(relay.world.org_id, cluster.id, Surface.ENVIRONMENTS)
