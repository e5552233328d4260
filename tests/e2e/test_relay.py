"""An orchestrator is connected to one process, and people talk to another one: it is the same."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.servers import ServerProcess
from tests.relay.recorded import answers
from tests.relay.wire import connected
from tests.world import secret_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

TOKEN = secret_of("ORCHESTRATOR")
CLUSTER = "probe-one"
ASKING = "dashboard.environments.list"
ENVIRONMENTS = answers("lists", "dashboard.environments.list.response")[1]
SETTINGS = """query ($name: String!) { org { cluster(name: $name) { environments { nodes { name } } } } }"""
WORKFLOWS = """{ org { workflows(where: {name: {eq: "slow"}}) { nodes { id enabled } } } }"""
DISABLE = """mutation ($id: ID!) { workflowSetEnabled(input: {workflowId: $id, enabled: false}) {
    __typename ... on WorkflowSetEnabledSuccess { command { id state } } ... on Error { code message } } }"""
COMMAND = """query ($id: ID!) { node(id: $id) { ... on Command { state message } } }"""


async def ask(server: ServerProcess, document: str, **variables: Any) -> dict[str, Any]:
    """The whole answer, errors and all."""
    return await asyncio.to_thread(server.answer, document, None, **variables)


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(60):
        while not (value := await found()):  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(0.05)
        return value


async def test_people_of_another_process_ask_and_act_and_outlive_a_kill(
    postgres_url: str, redis_url: str, serve: Serve
) -> None:
    one, two = await asyncio.gather(
        serve(postgres_url, broadcast_url=redis_url), serve(postgres_url, broadcast_url=redis_url)
    )
    async with connected(one.relay, TOKEN) as orchestrator:
        orchestrator.answers[ASKING] = ENVIRONMENTS
        orchestrator.answers["dashboard.registration.disable"] = {"type": "x.result", "success": True}

        async def workflow() -> Any:
            return (await ask(two, WORKFLOWS))["data"]["org"]["workflows"]["nodes"]

        known, *_ = await until(workflow)
        shown = (await ask(two, SETTINGS, name=CLUSTER))["data"]["org"]["cluster"]["environments"]
        assert shown == {"nodes": [{"name": "production"}]}
        done = (await ask(two, DISABLE, id=known["id"]))["data"]["workflowSetEnabled"]

        async def settled() -> Any:
            command = (await ask(two, COMMAND, id=done["command"]["id"]))["data"]["node"]
            return command["state"] == "SUCCEEDED"

        assert await until(settled)
        assert len(orchestrator.asked("dashboard.registration.disable")) == 1

        orchestrator.answers[ASKING] = None
        asked = asyncio.create_task(ask(two, SETTINGS, name=CLUSTER))
        await orchestrator.until(lambda: len(orchestrator.asked(ASKING)) == 2)
        one.kill()
        answer = await asked
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert error["extensions"]["retryable"]
    assert "nobody answered" in error["message"]

    waiting = asyncio.create_task(ask(two, SETTINGS, name=CLUSTER))
    async with connected(two.relay, TOKEN) as orchestrator:
        orchestrator.answers[ASKING] = ENVIRONMENTS
        assert (await waiting)["data"]["org"]["cluster"]["environments"] == {
            "nodes": [{"name": "production"}]
        }
