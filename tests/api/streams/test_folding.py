"""A reader that is far behind, and a subscription that lives long."""

from collections import Counter
from typing import Any

import psutil
import pytest

from kici_gql.events import Event, EventType
from tests.world import World, agent, beat_of, scaler

BEATS = """subscription ($after: Cursor) { heartbeats(after: $after) { cursor previousCursor events {
  __typename ... on AgentHeartbeat { agentId folded uptimeSeconds } ... on OrchestratorHeartbeat { folded } } } }"""
ALERTS = (
    "subscription ($after: Cursor) { alerts(after: $after) { cursor previousCursor events { __typename } } }"
)


async def test_a_reader_far_behind_gets_each_agent_once_with_an_exact_count(world: World) -> None:
    connection = await world.connect(scalers=[scaler()], agents=[agent("a1"), agent("a2"), agent("a3")])
    begin = str(await world.head())
    sent: Counter[str] = Counter()
    for number in range(600):
        names = ["a1", "a2", "a3"][: 1 + number % 3]
        await world.beat(connection, [beat_of(name, uptime_seconds=number) for name in names])
        sent.update(names)
    stream = world.frames(BEATS, after=begin)
    frame = await anext(stream)
    assert frame["previousCursor"] == begin
    agents = {each["agentId"]: each for each in frame["events"] if "agentId" in each}
    assert {name: each["folded"] for name, each in agents.items()} == dict(sent)
    assert [each["uptimeSeconds"] for each in agents.values()] == [599, 599, 599]
    assert frame["cursor"] == str(await world.head()), "and stands at the head again"
    others = [each["folded"] for each in frame["events"] if each["__typename"] == "OrchestratorHeartbeat"]
    assert others == [600]


@pytest.mark.slow
async def test_two_hundred_thousand_events_through_one_subscription_leave_nothing_behind(
    world: World,
) -> None:
    await world.connect(scalers=[scaler()], agents=[agent("a1")])
    await world.beat(await world.connect(scalers=[scaler()], agents=[agent("a1")]), ["a1"])
    template: dict[str, Any] = next(
        dict(event.data) for _, event in await world.events() if event.type is EventType.AGENT_BEAT
    )
    stream = world.frames(BEATS, after=str(await world.head()))
    seen, sizes, process = 0, [], psutil.Process()
    for number in range(100):
        await world.append(*[Event(EventType.AGENT_BEAT, template) for _ in range(2000)])
        while seen < (number + 1) * 2000:
            frame = await anext(stream)
            seen += sum(each["folded"] for each in frame["events"])
        sizes.append(process.memory_info().rss / 1_048_576)
    assert seen == 200_000
    grown = max(sizes[85:]) - max(sizes[65:80])
    assert grown < 8, f"{grown} MiB more, although the tail and the recent pages were full"
