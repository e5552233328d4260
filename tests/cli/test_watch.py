"""`kici-gql watch`, as a program."""

import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import pytest

from tests.cli.samples import agent, heartbeats, snapshot
from tests.examples.program import Program, running
from tests.examples.scripted_server import ScriptedServer


def watch(*arguments: str, env: Mapping[str, str]) -> AbstractAsyncContextManager[Program]:
    return running(sys.executable, "-m", "kici_gql", "watch", *arguments, env={"COLUMNS": "200", **env})


def access(server: ScriptedServer) -> dict[str, str]:
    return {"KICI_GQL_URL": server.url, "KICI_GQL_TOKEN": "kgq_x"}


async def test_once_prints_the_whole_tree_and_ends(server: ScriptedServer) -> None:
    server.streams = [[snapshot(agent("a-1"))], [heartbeats(kind="SNAPSHOT")]]
    async with watch("--once", "--cluster", "lab", env=access(server)) as program:
        assert await program.ended() == 0
    assert program.saw("agent a-1 ONLINE")
    assert server.subscriptions[0] == {"org": "default", "cluster": "lab", "after": None}


async def test_into_a_pipe_it_prints_once(server: ScriptedServer) -> None:
    server.streams = [[snapshot(agent("a-1"))], [heartbeats(kind="SNAPSHOT")]]
    async with watch(env=access(server)) as program:
        assert await program.ended() == 0
    assert program.saw("agent a-1 ONLINE")


async def test_a_refused_token_is_said(server: ScriptedServer) -> None:
    server.init_close_code = 4403
    async with watch("--once", env=access(server)) as program:
        assert await program.ended() == 1
    assert program.lines == ["kici-gql watch: Forbidden"]


async def test_once_does_not_wait_for_a_server_that_is_not_there(server: ScriptedServer) -> None:
    await server.close()
    async with watch("--once", env=access(server)) as program:
        assert await program.ended() == 1
    assert program.saw("kici-gql watch: no stream from")


@pytest.mark.parametrize(
    ("env", "complaint"),
    [({}, "KICI_GQL_TOKEN"), ({"KICI_GQL_TOKEN": "kgq_x", "KICI_GQL_URL": "nonsense"}, "no server address")],
)
async def test_wrong_use_is_explained(env: dict[str, str], complaint: str) -> None:
    async with watch(env=env) as program:
        assert await program.ended() == 2
    assert program.saw(complaint)
    assert not program.saw("Traceback")
