"""An orchestrator that means ill, or is broken, harms nobody but itself, and memory stays within bounds."""

import asyncio
import gc
import json
import tracemalloc
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kici_gql.app.chores import Chores
from kici_gql.relay.messages.codes import Close
from kici_gql.relay.messages.inbound import READERS, parse
from kici_gql.relay.messages.values import MAX_MESSAGE
from kici_gql.relay.outbox import MAX_EFFECTS, Outbox
from kici_gql.relay.scribe import MAX_AT_ONCE
from kici_gql.relay.session.effects import Tell
from kici_gql.settings import Settings
from kici_gql.tables import Cluster, Orchestrator, Run
from tests.relay.live import Link, Relay
from tests.relay.recorded import AUTH, DIAGNOSTICS, REGISTER, Frame, Player, ready
from tests.world import Clock, World, agent, secret_of, world_of

RUN = "af8607f3-980f-4321-a3ce-8495d90d4e09"
NOON = 1795440000000

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def peak_of(work: Callable[[], Any]) -> int:
    """Bytes that were held at most at one time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(
    type_=st.sampled_from(sorted(READERS)) | st.text(), body=st.dictionaries(st.text(), anything, max_size=5)
)
def test_whatever_a_frame_holds_it_is_read_or_dropped(type_: str, body: dict[str, Any]) -> None:
    parse(json.dumps(body | {"type": type_}))


@given(type_=st.sampled_from(sorted(READERS)), values=st.lists(anything, min_size=12, max_size=12))
def test_known_fields_with_unlikely_values(type_: str, values: list[Any]) -> None:
    names = [
        "runId",
        "jobId",
        "status",
        "startedAt",
        "timestamp",
        "lines",
        "stepIndex",
        "runs",
        "data",
        "sources",
    ]
    parse(json.dumps(dict(zip([*names, "capabilities", "messageId"], values, strict=True)) | {"type": type_}))


@given(answer=st.dictionaries(st.text(), anything, max_size=6), agents=st.lists(anything, max_size=4))
def test_an_answer_of_any_shape_leaves_the_session_alive(answer: dict[str, Any], agents: list[Any]) -> None:
    player = Player()
    inner = {
        "orchestrator": answer,
        "agents": agents,
        "scalers": agents,
        "registrations": agents,
        "backends": agents,
    }
    for type_ in list(player.answers):
        player.answers[type_] = {"type": f"{type_}.response"} | answer | inner
    player.introduce()
    player.wait(40)
    assert player.session.questions.unexpected == 0


def test_a_frame_of_26_megabytes_is_cut_down_to_what_is_kept() -> None:
    player = ready()
    player.effects.clear()
    text = json.dumps(
        {
            "type": "execution.status",
            "runId": RUN,
            "status": "failed",
            "failureReason": "x" * 26_000_000,
            "timestamp": NOON,
        }
    )
    player.perform(player.session.receive(text, player.now))
    [tell] = player.seen(Tell)
    assert len(tell.runs[0].failure_reason) == MAX_MESSAGE


def test_a_million_runs_leave_no_trace_in_the_session() -> None:
    session = ready().session

    def flood() -> None:
        for number in range(6_000):
            frame = (
                f'{{"type":"job.status.forward","runId":"{number}","jobId":"{number}","status":"running"}}'
            )
            session.receive(frame, 1000.0)

    flood()  # fills what is bounded
    before = peak_of(flood)
    assert before < 3_000_000


def test_an_outage_of_any_length_is_held_within_bounds() -> None:
    player = Player()
    player.answers.clear()
    player.say(AUTH)
    player.say(REGISTER)
    line = "x" * 1_000_000

    def flood() -> None:
        for _ in range(200):
            frame = {
                "type": "log.chunk",
                "runId": RUN,
                "jobId": "j",
                "stepIndex": 0,
                "lines": [line[:60_000]] * 16,
            }
            player.perform(player.session.receive(json.dumps(frame), player.now))

    flood()
    assert player.session.holding.dropped > 100
    assert player.closed is None


@pytest.mark.parametrize("name", ["a" * 500, "UPPER", "-x", "", 7, None, "x/../y", "a\x00b", "ünïcode"])
def test_a_cluster_name_that_is_none_is_no_name(name: Any) -> None:
    player = Player()
    player.say(AUTH)
    player.say(REGISTER | {"clusterName": name})
    assert player.session.register is not None
    known = player.session.register.cluster_name
    assert known is None or known == "a" * 63


async def test_an_outbox_that_is_full_makes_the_reader_wait() -> None:
    outbox = Outbox()
    for _ in range(MAX_EFFECTS):
        await outbox.put(Tell(()), 1)
    waiting = asyncio.create_task(outbox.put(Tell(()), 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(await outbox.take()) == 500
    await waiting


@pytest.fixture
async def relay(world: World) -> Any:
    opened = Relay(world)
    yield opened
    await opened.close()


async def test_another_orgs_runs_are_out_of_reach(relay: Relay) -> None:
    world = relay.world
    status = {"type": "execution.status", "runId": RUN, "workflowName": "slow", "timestamp": NOON}
    async with relay.link() as link:
        link.say(status | {"status": "running"})
    async with relay.link(token=secret_of("ORCHESTRATOR", "other")) as link:
        link.say(status | {"status": "failed", "failureReason": "mine now"})
    runs = {row.org_id: row.status for row in await world.rows(Run)}
    assert runs == {world.viewer().org_id: "RUNNING", world.viewer(org="other").org_id: "FAILED"}
    assert len(await world.rows(Cluster)) == 2


async def test_one_that_answers_nothing_and_one_that_answers_nonsense_harm_nobody(relay: Relay) -> None:
    mute, odd = Link(relay), Link(relay)
    mute.answers.clear()
    odd.answers = {type_: {"type": "x.response", "orchestrator": [], "agents": 7} for type_ in odd.answers}
    mute.say(AUTH | {"token": secret_of("ORCHESTRATOR")})
    mute.say(REGISTER | {"instanceId": "mute"})
    await odd.introduce(instanceId="odd")
    async with relay.link(instanceId="good") as good:
        for _ in range(50):
            odd.say({"type": "dashboard.diagnostics.response", "requestId": str(uuid.uuid4())} | DIAGNOSTICS)
            odd.say({"type": "auth.success"})
        good.say({"type": "heartbeat", "timestamp": NOON})
        await good.until(lambda: len(good.asked("dashboard.diagnostics")) > 1)
        assert (good.closed, odd.closed, mute.closed) == (None, None, None)
    await odd.hang_up()
    await mute.hang_up()


def a_run(number: int) -> Frame:
    """A run that nobody has told of before."""
    status = "success" if number % 2 else "running"
    return {"type": "execution.status", "runId": str(uuid.uuid4()), "workflowName": f"w{number % 7}", "status": status,
            "timestamp": NOON + number}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_ten_thousand_runs_cost_no_memory_and_hold_nobody_up(sqlite_url: str, clock: Clock) -> None:
    """Each is stored, as the orchestrator said so; what is kept besides is bounded, and others beat in between."""
    settings = Settings(database_url=sqlite_url, tail_events=500, log_retention_events=1000)
    warm_up, runs = 2_000, 10_000
    beats = before = 0

    async def beat(world: World, connection: str) -> None:
        nonlocal beats
        while True:
            await world.beat(connection, ["a1"])
            beats += 1

    async with world_of(settings, clock) as world:
        relay = Relay(world)
        other = await world.connect(agents=[agent("a1", None)])
        beating = asyncio.create_task(beat(world, other))
        tracemalloc.start()
        async with relay.link() as link:
            for number in range(runs):
                link.say(a_run(number))
                await link.until(lambda: link.unread < MAX_AT_ONCE)
                if number == warm_up:
                    gc.collect()
                    before, _ = tracemalloc.get_traced_memory()
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        beating.cancel()
        await relay.close()
        assert len(await world.rows(Run)) == runs
        assert beats > runs / MAX_AT_ONCE / 4, "at least one for every few pages of reports"
        assert after - before < 1_000_000
        assert peak < 20_000_000
        await Chores(world.store, settings, relay.auth)._housekeep()  # noqa: SLF001 - done each minute
        assert sum(len(entry.events) for entry in await world.log()) < 1000 + 2 * MAX_AT_ONCE


async def test_a_token_has_only_so_many_links(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = relay.world.settings.model_copy(update={"max_connections_per_token": 1})
    monkeypatch.setattr(relay.endpoint, "_settings", limited)
    async with relay.link(instanceId="one"):
        second = Link(relay)
        await second.introduce(instanceId="two")
        assert second.code is Close.PLAN_LIMIT
        await second.hang_up()
    assert len(await relay.world.rows(Orchestrator)) == 1
