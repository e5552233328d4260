"""Reports that are out of all bounds are refused, and harm nobody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kici_gql.api.mutations.run_inputs import TriggerInput
from kici_gql.api.types.metrics import read_metrics
from kici_gql.errors import InvalidInput
from kici_gql.relay.messages import values
from kici_gql.store import Tx, runs
from kici_gql.tables import RunStatus
from tests.running import cluster, job_of, run_of, workflow_of
from tests.world import World

FAR = datetime(9999, 12, 31, tzinfo=UTC)
NESTED: Any = []
for _ in range(300):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"queued_at": FAR}, ["runs", 0, "queuedAt"]),
        ({"started_at": FAR}, ["runs", 0, "startedAt"]),
        ({"jobs": [job_of(completed_at=FAR)]}, ["runs", 0, "jobs", 0, "completedAt"]),
    ],
)
async def test_no_time_is_far_ahead(world: World, more: dict[str, Any], path: list[Any]) -> None:
    home = await cluster(world)
    with pytest.raises(InvalidInput) as raised:
        await home.report(run_of("r", RunStatus.RUNNING, **more))
    assert list(raised.value.path or ()) == list(map(str, path))


async def test_metrics_stay_small_whatever_is_stored(world: World) -> None:
    def add(tx: Tx) -> None:
        share = dict.fromkeys(runs.FIGURES, 1)
        runs.add_share(tx.connection, tx.org_id, world.clock() + timedelta(days=3650), share)

    await world.store.transaction(world.org_id, add)
    metrics = await world.store.read(read_metrics, world.org_id, 24, world.clock())
    assert 24 <= len(metrics.series) <= 50


@pytest.mark.parametrize("config", [{"x": NESTED}, {"x": 10**30}])
async def test_what_can_not_be_written_as_json_is_bad_input(world: World, config: Any) -> None:
    home = await cluster(world)
    with pytest.raises(InvalidInput, match="JSON"):
        await home.workflows(workflow_of(triggers=[TriggerInput(type="push", settings=config)]))


def test_a_frame_that_is_nested_too_deeply_and_a_year_that_is_none_are_left_out() -> None:
    assert values.extra({"x": NESTED}) is None
    assert values.moment("9999-12-31T00:00:00Z") is None
    assert values.moment("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)
