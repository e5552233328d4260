from kici_gql.tables import Agent, Liveness, Orchestrator
from tests.world import World, agent, scaler


async def test_connect(any_world: World) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent()])
    await any_world.beat(connection, ["a1"])
    [row] = await any_world.rows(Agent)
    assert row.liveness is Liveness.ONLINE
    assert len(await any_world.rows(Orchestrator)) == 1
