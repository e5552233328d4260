"""The contract as text, at its own address."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kici_gql.api.schema import sdl
from kici_gql.app import create_app, prepare
from kici_gql.settings import Settings


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'k.db'}")
    secret = await prepare(settings)
    assert secret is not None
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kici") as client,
    ):
        yield client, secret


async def test_a_token_reads_the_schema(served: tuple[httpx.AsyncClient, str]) -> None:
    client, secret = served
    answer = await client.get("/schema.graphql", headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert answer.text == sdl()


async def test_without_a_token_nobody_does(served: tuple[httpx.AsyncClient, str]) -> None:
    client, _ = served
    answer = await client.get("/schema.graphql")
    assert answer.status_code == 401
    assert "type Query" not in answer.text
