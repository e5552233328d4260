"""`Org.cursor` is never ahead of what is shown with it: whoever subscribes from there misses nothing."""

import asyncio
import re
from typing import Any

import pytest

from kici_gql.events import Cursor
from kici_gql.tables import Workflow
from tests.running import cluster, workflow_of
from tests.world import World

WORKFLOWS = "workflows { nodes { commitSha } }"


@pytest.mark.parametrize(
    "document",
    [
        f"query ($id: ID!) {{ org {{ cursor {WORKFLOWS} }} node(id: $id) {{ id }} }}",
        f"query ($id: ID!) {{ org {{ {WORKFLOWS} cursor }} node(id: $id) {{ id }} }}",
        f"query ($id: ID!) {{ first: org {{ {WORKFLOWS} }} second: org {{ cursor }} node(id: $id) {{ id }} }}",
        "query ($id: ID!) { node(id: $id) { ... on Workflow { commitSha } } org { cursor } }",
        "query ($id: ID!) { node(id: $id) { ... on Workflow { commitSha } } viewer { org { cursor } } }",
    ],
)
async def test_a_cursor_never_covers_what_is_not_shown(
    any_world: World, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await cluster(any_world)
    reached: list[int] = []
    turn = asyncio.Lock()

    async def change() -> None:
        async with turn:
            done = await home.workflows(workflow_of(commit_sha=str(len(reached))))
            reached.append(done.cursor.seq)

    await change()
    [workflow] = await any_world.rows(Workflow)
    read = any_world.store.read

    async def busily(*args: Any) -> Any:
        """Somebody commits between any two reads."""
        found = await read(*args)
        await change()
        return found

    monkeypatch.setattr(any_world.store, "read", busily)
    text = str(await any_world.data(document, id=workflow.id))
    assert len(reached) > 2, "it was read more than once"
    change_shown, cursor = _shown(text)
    assert cursor < reached[change_shown + 1], "the next change comes after the cursor"


def _shown(text: str) -> tuple[int, int]:
    """Which change the answer shows, and its cursor."""
    [change] = set(re.findall(r"'commitSha': '(\d+)'", text))
    [cursor] = set(re.findall(r"'cursor': '([^']+)'", text))
    return int(change), Cursor.parse(cursor).seq
