import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from orchestrator import agent_process
from orchestrator.agent_process import AgentProcess
from orchestrator.scaler import BareMetalScaler
from tests.examples.conftest import Eventually


@asynccontextmanager
async def running(agents: int = 2, restart_after_seconds: float = 60.0) -> AsyncIterator[BareMetalScaler]:
    names = [f"a-{number}" for number in range(1, agents + 1)]
    scaler = BareMetalScaler("metal", names, max_agents=agents, restart_after_seconds=restart_after_seconds)
    await scaler.set_pace(0.05)
    task = asyncio.create_task(scaler.run())
    try:
        yield scaler
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await scaler.close()


def pid_of(scaler: BareMetalScaler, agent_id: str) -> int:
    pid = scaler.agents[agent_id].pid
    assert pid is not None
    return pid


async def test_it_keeps_the_wanted_number_running_and_leaves_none_behind(eventually: Eventually) -> None:
    async with running(agents=3) as scaler:
        await eventually(lambda: len(scaler.introduced()) == 3)
        assert scaler.active_agents == 3
        pids = [pid_of(scaler, name) for name in scaler.agent_ids]
        assert len(set(pids)) == 3
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_only_those_that_beat_since_are_named(eventually: Eventually) -> None:
    async with running() as scaler:
        await eventually(lambda: len(scaler.beats_since(0)) == 2)
        os.kill(pid_of(scaler, "a-1"), signal.SIGSTOP)
        await asyncio.sleep(0.05)  # what was on its way has come in
        moment = time.monotonic()
        await eventually(lambda: "a-2" in scaler.beats_since(moment))
        assert "a-1" not in scaler.beats_since(moment)
        assert scaler.beats_since(time.monotonic()) == {}
        os.kill(pid_of(scaler, "a-1"), signal.SIGCONT)
        await eventually(lambda: "a-1" in scaler.beats_since(moment))


async def test_a_killed_agent_is_noticed_and_not_replaced_before_its_time(eventually: Eventually) -> None:
    async with running(restart_after_seconds=60) as scaler:
        await eventually(lambda: len(scaler.introduced()) == 2)
        pid = pid_of(scaler, "a-1")
        scaler.news.clear()
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(scaler.news.wait(), 60)
        assert scaler.dead() == {"a-1": f"process {pid} was ended by SIGKILL"}
        assert scaler.active_agents == 1
        assert set(scaler.introduced()) == {"a-1", "a-2"}
        assert pid_of(scaler, "a-1") == pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "silent"])
async def test_an_agent_that_is_silent_for_too_long_is_replaced_under_its_id(
    number: signal.Signals, eventually: Eventually
) -> None:
    async with running(restart_after_seconds=1.5) as scaler:
        await eventually(lambda: len(scaler.introduced()) == 2)
        pid = pid_of(scaler, "a-1")
        os.kill(pid, number)
        await eventually(lambda: scaler.agents["a-1"].pid not in {pid, None})  # None: it is being started
        moment = time.monotonic()
        await eventually(lambda: "a-1" in scaler.beats_since(moment))
        assert scaler.introduced()["a-1"].pid == pid_of(scaler, "a-1")
        assert scaler.dead() == {}
        assert not psutil.pid_exists(pid)


async def test_agents_that_cannot_be_started_are_tried_again(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = 0
    start = AgentProcess.start

    async def refuse_once(agent: AgentProcess) -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise BlockingIOError("no process to be had")
        await start(agent)

    monkeypatch.setattr(AgentProcess, "start", refuse_once)
    async with running(agents=1, restart_after_seconds=0.2) as scaler:
        await eventually(lambda: starts >= 1)
        assert scaler.active_agents == 0
        await eventually(lambda: scaler.active_agents == 1)


async def test_who_does_not_speak_the_protocol_is_cut_off(
    eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    babbler = tmp_path / "babbler.py"
    babbler.write_text("import os, time; os.write(0, b'hello there\\n'); time.sleep(60)")
    monkeypatch.setattr(agent_process, "AGENT_PROGRAM", babbler)
    async with running(agents=1) as scaler:
        await eventually(scaler.dead)
        assert "SIGKILL" in scaler.dead()["a-1"]


def test_it_is_told_at_once_when_it_may_not_run_that_many() -> None:
    with pytest.raises(ValueError, match="may run"):
        BareMetalScaler("metal", ["a", "b"], max_agents=1, restart_after_seconds=1)


def test_automatic_labels_start_with_kici() -> None:
    labels = BareMetalScaler("metal", [], max_agents=1, restart_after_seconds=1).labels
    assert "kici:scaler:metal" in labels
    assert "bare-metal" in labels
    assert len(set(labels)) == len(labels)
