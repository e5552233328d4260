"""This program itself.

`BENCH_WRITE=unwritten` takes the statements out of steady heartbeats: everything else is done, from the rights to the
events with their numbers, and nothing is written. `BENCH_WRITE=unasked` answers them without any transaction at all.
"""

# ruff: noqa: SLF001 - what is measured here is taken apart on purpose

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
from kici_gql.store import Store, prepared, sqlite, transaction
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
    take_out = {"unwritten": _take_out_statements, "unasked": _take_out_transactions}
    take_out.get(os.environ.get("BENCH_WRITE", ""), lambda: None)()
    server.run()


def _beat_of(work: Any) -> Any:
    """The heartbeat that a transaction is to take; None when it does something else."""
    action = getattr(work, "keywords", {}).get("action")
    return (
        action.work.keywords["beat"]
        if action is not None and action.name == "orchestratorHeartbeat"
        else None
    )


def _take_out_transactions() -> None:
    whole = Store.transaction

    async def answer(store: Any, org_id: Any, work: Any, **how: Any) -> Any:
        if _beat_of(work) is not None:
            return await _no_transaction(store, org_id, work)
        return await whole(store, org_id, work, **how)

    Store.transaction = answer  # type: ignore[method-assign,assignment]


def _take_out_statements() -> None:
    heads: dict[str, transaction.Head] = {}

    def run_batch(connection: Any, jobs: Any, now: Any, memories: Any) -> Any:
        def steady(job: Any) -> bool:
            beat = _beat_of(job.work)
            return beat is not None and memories[job.org_id].recall(beat.connection_id) is not None

        if not all(map(steady, jobs)):
            heads.clear()
            return transaction.run_batch(connection, jobs, now, memories)
        if not heads:
            heads.update(transaction._lock_heads(connection, {job.org_id for job in jobs}))
            connection.rollback()
        batch = transaction._Batch(connection, prepared.Pending())
        return [transaction._run_one(batch, job, heads, now, memories[job.org_id]) for job in jobs]

    vars(sqlite)["run_batch"] = run_batch


if __name__ == "__main__":
    main()
