"""This program itself. `BENCH_WRITE=no` answers each push without its transaction."""

import asyncio
import os
from pathlib import Path
from typing import Any

from kici_gql.actions.perform import Done
from kici_gql.app import create_app
from kici_gql.app.prepare import prepare
from kici_gql.cli.server import server_for
from kici_gql.events import Cursor
from kici_gql.settings import Settings
from kici_gql.store import Store
from tests.bench.fleet import ADMIN_TOKEN, AGENTS


async def _no_transaction(_store: Any, _org_id: Any, _work: Any) -> Done:
    result = {"object_id": "", "orchestrator_id": "", "accepted": AGENTS, "unknown": []}
    return Done(result, Cursor("00000000", 0))


def main() -> None:
    folder = Path(os.environ["BENCH_FOLDER"])
    settings = Settings(
        port=int(os.environ["BENCH_PORT"]),
        database_url=f"sqlite+aiosqlite:///{folder / 'bench.db'}",
        bootstrap_token=ADMIN_TOKEN,  # type: ignore[arg-type]
        log_level="warning",
        max_connections_per_token=20_000,
        max_subscriptions_per_token=20_000,
        lost_after_seconds=86_400,
    )
    asyncio.run(prepare(settings))
    server = server_for(create_app(settings), settings)
    server.config.ws_ping_interval = None  # the load's raw readers answer no pings
    if os.environ.get("BENCH_WRITE") == "no":
        _forget_writes_after_the_fleet_connected()
    server.run()


def _forget_writes_after_the_fleet_connected() -> None:
    whole = Store.transaction

    async def transaction(store: Any, org_id: Any, work: Any) -> Any:
        action = getattr(work, "keywords", {}).get("action")
        if action is not None and action.name == "orchestratorHeartbeat":
            return await _no_transaction(store, org_id, work)
        return await whole(store, org_id, work)

    Store.transaction = transaction  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main()
