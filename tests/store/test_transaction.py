"""The one place that commits: order, numbers, group commit, and one bad push that fails alone."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from kici_gql.errors import Conflict, Internal, InvalidInput, Unavailable
from kici_gql.events import Entry, Event, EventType, Topic
from kici_gql.settings import Settings
from kici_gql.store import Tx, records, transaction
from kici_gql.tables import Cluster, LogEntry, table_of
from tests.world import Clock, World, world_of

ALERT = EventType.ALERT_CHANGED
BEAT = EventType.AGENT_BEAT


def event(number: int, type_: EventType = ALERT) -> Event:
    return Event(type_, {"id": f"x_{number}", "n": number})


async def test_commit_order_is_sequence_order_and_leaves_no_gap(any_world: World) -> None:
    committed: list[Entry] = []
    any_world.store.on_commit = committed.extend

    async def push(number: int) -> tuple[int, int]:
        await asyncio.sleep(number % 3 * 0.001)
        return number, await any_world.append(*[event(number)] * (1 + number % 3))

    answers = dict(await asyncio.gather(*map(push, range(300))))
    assert [entry.first_seq for entry in committed] == [1, *(entry.seq + 1 for entry in committed[:-1])]
    stored = await any_world.events()
    assert [seq for seq, _ in stored] == list(range(1, 601))
    for seq, each in stored:
        number = each.data["n"]
        assert answers[number] - (number % 3) <= seq <= answers[number], "the answer named the place"
    counts = any_world.store.counts
    assert (counts.transactions, counts.events, counts.failed) == (300, 600, 0)
    assert counts.commits < 150, "what arrives together shares a commit"


async def test_two_processes_share_one_order(postgres_url: str, clock: Clock) -> None:
    settings = Settings(database_url=postgres_url)
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        seen: list[int] = []
        done = asyncio.Event()

        async def read() -> None:
            """A third reader that never looks back, as a subscriber does: it must not miss anything."""
            last = 0
            while not done.is_set() or last < (await one.head()).seq:
                for seq, _ in (await one.events())[last:]:
                    seen.append(seq)
                    last = seq

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            pushes = [asyncio.create_task((one, two)[n % 2].append(event(n))) for n in range(100)]
            await asyncio.gather(*pushes)
            done.set()
        assert seen == list(range(1, 101))


async def test_one_bad_push_fails_alone(any_world: World, caplog: pytest.LogCaptureFixture) -> None:
    org_id = any_world.org_id

    def cluster(name: str) -> Cluster:
        return Cluster(id=f"clu_{name}", org_id=org_id, name=name, created_at=datetime.now(UTC))

    def good(tx: Tx) -> int:
        records.add(tx.connection, cluster("good"))
        return tx.append(event(1))

    def refused(tx: Tx) -> int:
        records.add(tx.connection, cluster("refused"))
        tx.append(event(2))
        raise Conflict("no")

    def broken_sql(tx: Tx) -> int:
        tx.append(event(3))
        records.add(tx.connection, cluster("broken"))
        tx.connection.execute(text("SELECT * FROM no_such_table"))
        return 0

    def not_json(tx: Tx) -> int:
        return tx.append(Event(ALERT, {"id": object()}))

    def last(tx: Tx) -> int:
        records.add(tx.connection, cluster("last"))
        return tx.append(event(4))

    works = (good, refused, broken_sql, not_json, last)
    results = await asyncio.gather(
        *(any_world.store.transaction(org_id, work) for work in works), return_exceptions=True
    )
    assert [results[0], results[4]] == [1, 2]
    assert isinstance(results[1], Conflict)
    assert isinstance(results[2], Internal)
    assert isinstance(results[3], Internal)
    assert "no_such_table" not in str(results[2]), "no SQL goes out"
    assert [row.name for row in await any_world.rows(Cluster)] == ["good", "last"]
    assert [each.data["n"] for _, each in await any_world.events()] == [1, 4]
    assert any_world.store.counts.commits == 1
    assert any_world.store.counts.failed == 3
    assert "a transaction failed" in caplog.text


async def test_a_lost_connection_is_told_in_a_line_and_made_again(
    postgres_url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def cut(tx: Tx) -> None:
        tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async with world_of(Settings(database_url=postgres_url), clock) as world:
        with pytest.raises(Unavailable):
            await world.store.transaction(world.org_id, cut)
        assert await world.append(event(1)) == 1
    assert "a transaction could not commit" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("value", ["a\0b", 2**31])
async def test_what_postgresql_can_not_hold_is_bad_input(postgres_url: str, clock: Clock, value: Any) -> None:
    """The net below the rules: whatever slips through is no failure of the server, and harms nobody else."""
    column = "name" if isinstance(value, str) else "revision"

    def write(tx: Tx) -> None:
        records.change(tx.connection, Cluster, "clu_1", {column: value})

    def look(connection: Connection) -> None:
        table = table_of(Cluster)
        connection.execute(select(table).where(table.c[column] == value))

    async with world_of(Settings(database_url=postgres_url), clock) as world:
        bad = world.store.transaction(world.org_id, write)
        good = world.append(event(1))
        refused, seq = await asyncio.gather(bad, good, return_exceptions=True)
        assert isinstance(refused, InvalidInput)
        assert seq == 1
        with pytest.raises(InvalidInput):
            await world.store.read(look)


async def test_a_run_of_events_of_one_topic_is_one_row(any_world: World) -> None:
    await any_world.append(event(1), event(2), event(3, BEAT), event(4, BEAT), event(5))
    assert [(row.first_seq, row.seq, row.topic) for row in await any_world.rows(LogEntry)] == [
        (1, 2, Topic.ALERTS),
        (3, 4, Topic.HEARTBEATS),
        (5, 5, Topic.ALERTS),
    ]


async def test_a_transaction_outlives_its_caller(any_world: World) -> None:
    task = asyncio.create_task(any_world.append(event(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await any_world.append(event(2))
    assert [each.data["n"] for _, each in await any_world.events()] == [1, 2]


async def test_the_patient_let_others_go_first_and_still_get_on(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "_PATIENT_SECONDS", 0.0)
    loop, late = asyncio.get_running_loop(), list[asyncio.Task[int]]()

    def work(tx: Tx, number: int) -> int:
        if number == 3:  # while the others wait, somebody comes who is not patient
            loop.call_soon_threadsafe(lambda: late.append(loop.create_task(any_world.append(event(100)))))
        if number == 4:
            raise Conflict("no")
        return tx.append(event(number))

    patient = [
        any_world.store.transaction(any_world.org_id, partial(work, number=number), patient=True)
        for number in range(40)
    ]
    answers = [asyncio.ensure_future(each) for each in patient]
    assert await any_world.append(event(99)) == 1
    with pytest.raises(Conflict):
        await answers.pop(4)
    numbers = await asyncio.gather(*answers)
    assert numbers == sorted(numbers), "among themselves they keep their order"
    assert await late[0] < numbers[-1]
    assert any_world.store.counts.commits == 40, "each batch begins one of them, however late it is"


async def test_work_that_is_put_off_begins_again_behind_those_who_are_quick(any_world: World) -> None:
    begun: list[str] = []

    def slow(tx: Tx) -> int:
        begun.append("slow")
        tx.put_off()
        return tx.append(event(1))

    def quick(tx: Tx) -> int:
        begun.append("quick")
        return tx.append(event(2))

    world, org_id = any_world, any_world.org_id
    works = [world.store.transaction(org_id, work) for work in (slow, quick)]
    answers = await asyncio.gather(*works)
    assert begun == ["slow", "quick", "slow"]
    assert answers == [2, 1]
    assert (world.store.counts.transactions, world.store.counts.failed) == (2, 0)


async def test_closing_finishes_what_is_queued(database_url: str, clock: Clock) -> None:
    def slowly(tx: Tx) -> int:
        tx.put_off()
        return tx.append(event(51))

    settings = Settings(database_url=database_url)
    async with world_of(settings, clock) as world:
        pushes = [asyncio.create_task(world.append(event(n))) for n in range(50)]
        patient = asyncio.create_task(
            world.store.transaction(world.org_id, lambda tx: tx.append(event(50)), patient=True)
        )
        put_off = asyncio.create_task(world.store.transaction(world.org_id, slowly))
        await asyncio.sleep(0)
    assert sorted(await asyncio.gather(*pushes, patient, put_off)) == list(range(1, 53))


async def test_orgs_have_logs_of_their_own(any_world: World) -> None:
    await any_world.append(event(1), event(2))
    other = any_world.viewer(org="other").org_id
    assert await any_world.append(event(3), org_id=other) == 1
    assert (await any_world.head()).seq == 2
    assert (await any_world.head()).epoch != (await any_world.head("other")).epoch


async def test_a_read_sees_one_moment(any_world: World) -> None:
    """What is read in two statements is the state of one commit."""
    org_id = any_world.org_id

    def read(connection: object, loop: asyncio.AbstractEventLoop) -> tuple[int, int]:
        from kici_gql.store import log

        first = log.head(connection, org_id).seq  # type: ignore[arg-type]
        return first, log.head(connection, org_id).seq  # type: ignore[arg-type]

    pushes = [asyncio.create_task(any_world.append(event(n))) for n in range(100)]
    for _ in range(20):
        first, second = await any_world.store.read(read, asyncio.get_running_loop())
        assert first == second
    await asyncio.gather(*pushes)


async def test_nobody_writes_through_a_read(any_world: World) -> None:
    def write(connection: Connection) -> None:
        connection.execute(text("UPDATE org SET name = 'x'"))

    with pytest.raises(DBAPIError, match=r"read-?only"):
        await any_world.store.read(write)
