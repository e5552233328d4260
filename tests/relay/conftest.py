from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from kici_gql.relay import endpoint as endpoint_module
from tests.relay.live import Relay
from tests.world import Clock, World


@pytest.fixture
def clock() -> Clock:
    """The day after the captures: what they tell has happened."""
    return Clock(datetime(2026, 11, 24, 12, tzinfo=UTC))


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
