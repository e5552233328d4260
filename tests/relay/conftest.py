from collections.abc import AsyncIterator

import pytest

from kici_gql.relay import endpoint as endpoint_module
from tests.relay.live import Relay
from tests.world import World


@pytest.fixture
async def relay(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr(endpoint_module, "GRACE_SECONDS", 0.05)
    opened = Relay(world)
    yield opened
    await opened.close()


@pytest.fixture
async def any_relay(any_world: World) -> AsyncIterator[Relay]:
    """On either database."""
    opened = Relay(any_world)
    yield opened
    await opened.close()
