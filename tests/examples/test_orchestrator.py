"""The orchestrator against a scripted server: the failures that a real one doesn't produce on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.client import LinkDown, Refused, TokenRefused, open_link, websocket_url
from orchestrator.orchestrator import Config, Orchestrator
from orchestrator.scaler import BareMetalScaler
from orchestrator.state import StateDirectory
from tests.examples.conftest import Eventually
from tests.examples.scripted_server import CONNECTED, FINE, Answer, HangUp, ScriptedServer


def no(code: str, retryable: bool = False) -> Answer:
    return {
        "__typename": "X",
        "code": code,
        "message": "no",
        "path": None,
        "retryable": retryable,
        "hint": "h",
    }


def alerts(server: ScriptedServer, resolved: bool) -> list[Answer]:
    reported = [alert for call in server.sent("ReportAlerts") for alert in call["alerts"]]
    return [alert for alert in reported if alert["resolved"] is resolved]


@asynccontextmanager
async def orchestrator(
    server: ScriptedServer, tmp_path: Path, agents: int = 1, interval_seconds: float | None = 0.1
) -> AsyncIterator[tuple[Orchestrator, asyncio.Task[None]]]:
    scaler = BareMetalScaler(
        "metal", [f"a-{n}" for n in range(1, agents + 1)], agents, restart_after_seconds=60
    )
    config = Config(server.url, "kgq_x", "lab", None, interval_seconds)
    it = Orchestrator(config, scaler, StateDirectory(tmp_path))
    task = asyncio.create_task(it.run())
    try:
        yield it, task
    finally:
        it.stop("the test is over")
        await asyncio.wait_for(asyncio.wait({task}), 60)


async def test_it_introduces_itself_beats_and_says_goodbye(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    async with orchestrator(server, tmp_path, agents=2) as (it, task):
        await eventually(lambda: len(server.sent("Heartbeat")) >= 3)
        it.stop("stopped by SIGTERM")
        await asyncio.wait_for(task, 60)
    (hello,) = server.sent("Connect")
    assert hello["clusterName"] == "lab"
    assert [agent["agentId"] for agent in hello["agents"]] == ["a-1", "a-2"]
    assert {beat["agentId"] for call in server.sent("Heartbeat") for beat in call["agents"]} == {"a-1", "a-2"}
    assert server.sent("Disconnect") == [{"connectionId": "c-1", "reason": "stopped by SIGTERM"}]
    assert server.calls[-1][0] == "Disconnect"
    assert it.scaler.active_agents == 0


async def test_the_name_that_the_server_gave_is_remembered(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    async with orchestrator(server, tmp_path, agents=0):
        await eventually(lambda: server.sent("Heartbeat"))
    assert StateDirectory(tmp_path).load().cluster_name == "cluster-0a1b2c"
    async with orchestrator(server, tmp_path, agents=0):
        await eventually(lambda: len(server.sent("Connect")) == 2)
    assert server.sent("Connect")[1]["clusterName"] == "cluster-0a1b2c"
    assert server.sent("Connect")[0]["instanceId"] == server.sent("Connect")[1]["instanceId"]


async def test_a_lost_answer_to_connect_is_asked_for_again_with_the_same_key(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    server.answers["Connect"] = [HangUp, HangUp]
    async with orchestrator(server, tmp_path):
        await eventually(lambda: server.sent("Heartbeat"))
    first, second, third = server.sent("Connect")
    assert first == second == third


async def test_a_broken_connection_keeps_its_place_in_the_fleet(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    server.answers["Heartbeat"] = [FINE, HangUp]
    async with orchestrator(server, tmp_path):
        await eventually(lambda: len(server.sent("Heartbeat")) >= 4)
    assert len(server.sent("Connect")) == 1


async def test_it_survives_a_server_restart(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    async with orchestrator(server, tmp_path):
        await eventually(lambda: server.sent("Heartbeat"))
        await server.close()
        before = len(server.sent("Heartbeat"))
        await asyncio.sleep(0.5)
        await server.start()
        await eventually(lambda: len(server.sent("Heartbeat")) > before + 1)


async def test_an_unknown_connection_is_made_anew_under_a_new_key(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    server.answers["Heartbeat"] = [FINE, no("UNKNOWN_CONNECTION")]
    server.answers["Connect"] = [CONNECTED, CONNECTED | {"connectionId": "c-2"}]
    async with orchestrator(server, tmp_path):
        await eventually(lambda: len(server.sent("Heartbeat")) >= 4)
    first, second = server.sent("Connect")
    assert first["idempotencyKey"] != second["idempotencyKey"]
    assert server.sent("Heartbeat")[-1]["connectionId"] == "c-2"


async def test_an_agent_that_dies_is_left_out_and_reported(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    async with orchestrator(server, tmp_path, agents=2) as (it, _):
        await eventually(lambda: len(server.sent("Heartbeat")) >= 2)
        it.scaler.agents["a-1"].kill()
        await eventually(lambda: alerts(server, resolved=False))
        (alert,) = alerts(server, resolved=False)
        assert alert["dedupeKey"] == "agent-exit:a-1"
        assert "SIGKILL" in alert["message"]
        # Its last beat may still go out once; then it is never named again.
        seen = len(server.sent("Heartbeat")) + 1
        await eventually(lambda: len(server.sent("Heartbeat")) >= seen + 3)
        later = server.sent("Heartbeat")[seen:]
        assert {beat["agentId"] for call in later for beat in call["agents"]} == {"a-2"}
        it.scaler.restart_after_seconds = 0.1
        await eventually(lambda: len(alerts(server, resolved=True)) == 3)
        assert alerts(server, resolved=True)[2]["dedupeKey"] == "agent-exit:a-1"


async def test_alerts_that_an_earlier_life_left_open_are_resolved(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    async with orchestrator(server, tmp_path, agents=2):
        await eventually(lambda: server.sent("Heartbeat"))
    assert [alert["dedupeKey"] for alert in alerts(server, resolved=True)] == [
        "agent-exit:a-1",
        "agent-exit:a-2",
    ]


async def test_agents_that_the_server_does_not_know_are_reported_again(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    server.answers["Heartbeat"] = [FINE, FINE | {"unknownAgents": ["a-1"]}]
    async with orchestrator(server, tmp_path, agents=2):
        await eventually(lambda: server.sent("ReportInventory"))
    assert [agent["agentId"] for agent in server.sent("ReportInventory")[0]["agents"]] == ["a-1"]


async def test_a_report_that_is_refused_does_not_end_it(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    server.answers["Heartbeat"] = [no("INVALID_INPUT"), no("UNAVAILABLE", retryable=True)]
    async with orchestrator(server, tmp_path, agents=0):
        await eventually(lambda: len(server.sent("Heartbeat")) >= 4)


async def test_what_is_wrong_with_itself_ends_it(server: ScriptedServer, tmp_path: Path) -> None:
    server.answers["Connect"] = [no("UNAVAILABLE", retryable=True), no("INVALID_INPUT")]
    async with orchestrator(server, tmp_path, agents=0) as (_, task):
        with pytest.raises(Refused) as refused:
            await asyncio.wait_for(asyncio.shield(task), 60)
    assert refused.value.code == "INVALID_INPUT"
    assert "h" in str(refused.value)


@pytest.mark.parametrize("code", [4401, 4403, 4410, 4411])
async def test_a_refused_token_ends_it(code: int, server: ScriptedServer, tmp_path: Path) -> None:
    server.init_close_code = code
    async with orchestrator(server, tmp_path) as (it, task):
        with pytest.raises(TokenRefused):
            await asyncio.wait_for(asyncio.shield(task), 60)
    assert it.scaler.active_agents == 0


async def test_a_link_is_down_when_the_server_is_and_not_before(server: ScriptedServer) -> None:
    async with open_link(server.url, "kgq_x") as link:
        down = asyncio.create_task(link.wait_down())
        await asyncio.wait({down}, timeout=1.5)
        assert not down.done()
        link.check()
        await server.close()
        await asyncio.wait_for(down, 60)
        with pytest.raises(LinkDown):
            link.check()


async def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(LinkDown):
        async with open_link("http://127.0.0.1:9", "kgq_x"):
            pass


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/graphql"),
        ("https://ci.example/", "wss://ci.example/graphql"),
        ("https://ci.example/kici", "wss://ci.example/kici/graphql"),
        ("ws://box:1/graphql", "ws://box:1/graphql"),
    ],
)
def test_the_websocket_address_follows_from_the_servers(given: str, used: str) -> None:
    assert websocket_url(given) == used


@pytest.mark.parametrize("given", ["", "127.0.0.1:8080", "ftp://x", "http://"])
def test_what_is_no_address_is_said_to_be_none(given: str) -> None:
    with pytest.raises(ValueError, match="no server address"):
        websocket_url(given)
