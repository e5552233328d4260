"""Orchestrators that mean ill, over real sockets: each is turned away or borne, in bounded memory, and harms nobody else."""

import asyncio
import contextlib
import json
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from kici_gql.relay.messages.codes import MAX_FRAME_BYTES, Close
from tests.e2e.servers import ServerProcess
from tests.relay.recorded import AUTH, DIAGNOSTICS, answers
from tests.relay.wire import WireOrchestrator, connected, dialled
from tests.world import secret_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

TOKEN = secret_of("ORCHESTRATOR")
TOO_BIG = 1009  # RFC 6455
MEGABYTE = 1_000_000
RUNS, TIMES = 2_000, 20
BOUND = 200 * MEGABYTE
"""What all of it may add to the memory of the process: a frame of 32 MiB is held as bytes, as text and decoded."""
NOON = 1795440000000
STATUS = {"type": "execution.status", "workflowName": "slow", "timestamp": NOON}
ASKING = "dashboard.environments.list"
ENVIRONMENTS = answers("lists", "dashboard.environments.list.response")[1]
SETTINGS = "query ($name: String!) { org { cluster(name: $name) { environments { nodes { name } } } } }"
MEMORY = (
    """query ($name: String!) { org { cluster(name: $name) { orchestrators { nodes { memoryUsedMb } } } } }"""
)
COUNT = "{ org { runs { totalCount } } }"


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all: what is left of one attack must not help the next."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("hostile") / "test.db")
    started = ServerProcess(f"sqlite+aiosqlite:///{path}", secret_of("ADMIN"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def good(server: ServerProcess) -> AsyncIterator[None]:
    """An orchestrator that is well before, and after, whatever the test does."""
    name = f"good-{uuid.uuid4().hex[:6]}"
    async with connected(server.relay, TOKEN, clusterName=name, clusterId=name, instanceId=name) as one:
        yield
        figures = json.loads(json.dumps(DIAGNOSTICS))
        figures["orchestrator"]["memoryUsedMb"] = 4321
        one.answers["dashboard.diagnostics"] = figures
        await one.say({"type": "heartbeat", "timestamp": NOON})

        async def seen() -> bool:
            cluster = (await ask(server, MEMORY, name=name))["data"]["org"]["cluster"]
            return bool(cluster["orchestrators"]["nodes"] == [{"memoryUsedMb": 4321}])

        await until(seen)


@pytest.fixture
def bounded(server: ServerProcess) -> Iterator[None]:
    before = resident(server)
    yield
    assert resident(server) - before < BOUND


def resident(server: ServerProcess) -> int:
    size: int = psutil.Process(server.pid).memory_info().rss
    return size


async def ask(server: ServerProcess, document: str, **variables: Any) -> dict[str, Any]:
    return await asyncio.to_thread(server.answer, document, None, **variables)


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(120):
        while not (value := await found()):  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(0.05)
        return value


async def hurl(orchestrator: WireOrchestrator, *frames: Any) -> None:
    """Say it, unless the server has closed already."""
    with contextlib.suppress(ConnectionClosed):
        for frame in frames:
            await orchestrator.say(frame)


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    ("first", "code"),
    [
        (AUTH | {"token": "kgq_wrong"}, Close.UNAUTHORIZED),
        (AUTH | {"token": secret_of("ADMIN")}, Close.UNAUTHORIZED),
        ({"type": "heartbeat", "timestamp": NOON}, Close.INVALID_MESSAGE),
        ({"type": "auth.success", "connectionId": "x"}, Close.INVALID_MESSAGE),
        ("not json", Close.INVALID_MESSAGE),
        (b"\xff\x00", Close.INVALID_MESSAGE),
        (AUTH | {"token": "x" * 26 * MEGABYTE}, TOO_BIG),
        (None, Close.AUTH_TIMEOUT),
    ],
    ids=["wrong", "scope", "no-auth", "direction", "text", "binary", "26MB", "silence"],
)
async def test_who_does_not_authenticate_is_turned_away(
    server: ServerProcess, bounded: None, first: Any, code: int
) -> None:
    async with dialled(server.relay) as orchestrator:
        if first is not None:
            await hurl(orchestrator, first)
        assert await orchestrator.closed() == code


@pytest.mark.usefixtures("good", "bounded")
async def test_what_only_we_may_say_is_borne_a_thousand_times(server: ServerProcess) -> None:
    async with connected(server.relay, TOKEN, instanceId="wrong-direction") as orchestrator:
        await hurl(orchestrator, *([{"type": "auth.success", "connectionId": "x"}] * 1000))
        await orchestrator.say({"type": "source.register", "messageId": "still here", "sources": []})
        await orchestrator.until(lambda: len(orchestrator.asked("source.register.ack")) == 2)
        await hurl(orchestrator, {"type": "source.register.ack"})
        assert await orchestrator.closed() == Close.INVALID_MESSAGE


@pytest.mark.usefixtures("good", "bounded")
async def test_a_frame_of_26_megabytes_is_taken_and_one_beyond_the_bound_is_not(
    server: ServerProcess,
) -> None:
    run_id = str(uuid.uuid4())
    async with connected(server.relay, TOKEN, instanceId="big") as orchestrator:
        for _ in range(5):
            reason = "x" * 26 * MEGABYTE
            await orchestrator.say(STATUS | {"runId": run_id, "status": "failed", "failureReason": reason})

        async def stored() -> bool:
            query = "query ($id: ID!) { org { run(id: $id) { status failureReason } } }"
            run = (await ask(server, query, id=run_id))["data"]["org"]["run"]
            return bool(run is not None and 0 < len(run["failureReason"]) <= 10_000)

        assert await until(stored)
        await hurl(orchestrator, "x" * (MAX_FRAME_BYTES + 1))
        assert await orchestrator.closed() == TOO_BIG


@pytest.mark.usefixtures("bounded")
async def test_a_flood_of_runs_is_stored_in_bounded_memory_and_holds_nobody_up(
    server: ServerProcess, good: None
) -> None:
    """The same runs many times over, since what is measured is what waits: new rows would only take longer."""
    before = (await ask(server, COUNT))["data"]["org"]["runs"]["totalCount"]
    told = [{"runId": str(uuid.uuid4()), "workflowName": "w", "status": "success"} for _ in range(RUNS)]
    replay = json.dumps({"type": "state.replay", "messageId": "m", "runs": told, "timestamp": NOON})

    async with connected(server.relay, TOKEN, instanceId="flood") as orchestrator:
        flood = asyncio.create_task(hurl(orchestrator, *([replay] * TIMES)))

        async def stored() -> bool:
            total = (await ask(server, COUNT))["data"]["org"]["runs"]["totalCount"]
            return bool(total - before == RUNS)

        assert await until(stored)
        await flood


@pytest.mark.usefixtures("good", "bounded")
async def test_an_answer_counts_once_and_only_from_who_was_asked(server: ServerProcess) -> None:
    names = {"clusterName": "asked", "clusterId": "asked", "instanceId": "asked"}
    async with (
        connected(server.relay, TOKEN, **names) as asked,
        connected(server.relay, TOKEN, clusterName="liar", clusterId="liar", instanceId="liar") as liar,
    ):
        asked.answers[ASKING] = None
        waiting = asyncio.create_task(ask(server, SETTINGS, name="asked"))
        await asked.until(lambda: bool(asked.asked(ASKING)))
        about = {"type": f"{ASKING}.response", "requestId": asked.asked(ASKING)[0]["requestId"]}
        forged = about | {"environments": [{"name": "forged"}]}
        await liar.say(forged)
        await liar.say({"type": "source.register", "messageId": "heard", "sources": []})
        await liar.until(lambda: len(liar.asked("source.register.ack")) == 2)
        assert not waiting.done()
        await asked.say(ENVIRONMENTS | about)
        await asked.say(forged)
        told = (await waiting)["data"]["org"]["cluster"]["environments"]
        assert told == {"nodes": [{"name": "production"}]}
        asked.answers[ASKING] = ENVIRONMENTS
        again = (await ask(server, SETTINGS, name="asked"))["data"]["org"]["cluster"]["environments"]
        assert again == told


@pytest.mark.usefixtures("good", "bounded")
async def test_one_that_never_answers_keeps_only_those_waiting_who_ask_it(server: ServerProcess) -> None:
    names = {"clusterName": "mute", "clusterId": "mute", "instanceId": "mute"}
    async with connected(server.relay, TOKEN, **names) as mute:
        mute.answers.clear()
        told = await asyncio.gather(*(ask(server, SETTINGS, name="mute") for _ in range(4)))
    assert {each["errors"][0]["extensions"]["code"] for each in told} == {"UNAVAILABLE"}


@pytest.mark.usefixtures("good", "bounded")
async def test_one_that_does_not_read_is_cut_off_or_borne(server: ServerProcess) -> None:
    """Its socket is full of our questions; whoever asks it hears that there is no answer."""
    names = {"clusterName": "deaf", "clusterId": "deaf", "instanceId": "deaf"}
    async with connected(server.relay, TOKEN, **names) as deaf:
        deaf.socket.transport.pause_reading()
        answer = await ask(server, SETTINGS, name="deaf")
        assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        deaf.socket.transport.resume_reading()
