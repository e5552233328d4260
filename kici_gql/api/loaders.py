"""Batching: what many objects of one operation ask for becomes one statement each."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection
from sqlmodel import SQLModel
from strawberry.dataloader import DataLoader

from kici_gql.api.slices import KeptSlices
from kici_gql.store import Store, filters, fleet, log, paging, records
from kici_gql.store.log import Mark
from kici_gql.store.paging import Listing, Slice
from kici_gql.tables import Agent, Job, Orchestrator, Scaler, Step, table_of

_KEPT: frozenset[type[SQLModel]] = frozenset({Agent, Orchestrator, Scaler})


class _Loader(DataLoader[str, Any]):
    """Many fields may wait for one load, and graphql-core stops waiting for the siblings of a field that has failed."""

    def load(self, key: str) -> Awaitable[Any]:
        return asyncio.shield(super().load(key))


class Loaders:
    """Data loaders of one operation. They remember what they loaded, so they must not outlive it."""

    def __init__(self, store: Store, org_id: str, slices: KeptSlices) -> None:
        self._store = store
        self._org_id = org_id
        self._slices = slices
        self._refreshed = False
        self._loaders: dict[Hashable, DataLoader[str, Any]] = {}

    async def one(self, model: type[SQLModel], id_: str) -> Any:
        """The org's row of this id, or None. A row stands for its GraphQL type."""
        return await self._loader((model,), partial(_by_id, model)).load(id_)

    async def members(self, cluster_id: str) -> Sequence[Orchestrator]:
        """All orchestrators of a cluster."""
        found: Sequence[Orchestrator] = await self._loader(
            "members", partial(_children, Orchestrator, "cluster_id", "id")
        ).load(cluster_id)
        return found

    async def jobs(self, run_id: str) -> Any:
        """All jobs of a run."""
        return await self._loader("jobs", partial(_children, Job, "run_id", "id")).load(run_id)

    async def steps(self, job_id: str) -> Any:
        """All steps of a job."""
        return await self._loader("steps", partial(_children, Step, "job_id", "number")).load(job_id)

    async def page(self, listing: Listing, parent_id: str) -> Slice[Any]:
        """The part of the list below this parent. Raises InvalidInput for bad bounds or cursors."""
        if listing.model not in _KEPT:
            read: Slice[Any] = await self._loader(listing, partial(_pages, listing)).load(parent_id)
            return read
        await self._batched("refresh", self._refresh).load(self._org_id)
        kept = self.kept(listing, parent_id)
        if kept is not None:
            return kept
        found: Slice[Any] = await self._batched(listing, partial(self._keep, listing)).load(parent_id)
        return found

    def kept(self, listing: Listing, parent_id: str) -> Slice[Any] | None:
        """The same, where there is no need to wait for it."""
        return self._slices.get(self._org_id, listing, parent_id) if self._refreshed else None

    async def total(self, listing: Listing, parent_id: str) -> int:
        """How many rows the whole list below this parent has."""
        key = ("total", listing.model, listing.parent, listing.conditions)
        found: int = await self._loader(key, partial(_totals, listing)).load(parent_id)
        return found

    def _loader(
        self, key: Hashable, query: Callable[[Connection, str, Sequence[str]], Mapping[str, Any]]
    ) -> DataLoader[str, Any]:
        async def load(ids: list[str]) -> list[Any]:
            found = await self._store.read(query, self._org_id, ids)
            return [found.get(id_) for id_ in ids]

        return self._batched(key, load)

    def _batched(
        self, key: Hashable, load: Callable[[list[str]], Awaitable[list[Any]]]
    ) -> DataLoader[str, Any]:
        loader = self._loaders.get(key)
        if loader is None:
            loader = self._loaders[key] = _Loader(load_fn=load)
        return loader

    async def _refresh(self, org_ids: list[str]) -> list[Any]:
        await self._slices.refresh(self._store, self._org_id)
        self._refreshed = True
        return org_ids

    async def _keep(self, listing: Listing, ids: list[str]) -> list[Any]:
        mark, read = await self._store.read(_marked_pages, listing, self._org_id, ids)
        found = self._slices.add(self._org_id, mark, listing, read)
        return [found[id_] for id_ in ids]


def _by_id(
    model: type[SQLModel], connection: Connection, org_id: str, ids: Sequence[str]
) -> Mapping[str, Any]:
    return {row.id: row for row in records.by_ids(connection, model, org_id, ids)}  # type: ignore[attr-defined]


def _children(
    model: type[SQLModel], parent: str, order: str, connection: Connection, org_id: str, ids: Sequence[str]
) -> Mapping[str, Any]:
    found: dict[str, list[Any]] = {id_: [] for id_ in ids}
    for row in fleet.children(connection, model, org_id, parent, ids):
        found[getattr(row, parent)].append(row)
    for rows in found.values():
        rows.sort(key=attrgetter(order))
    return found


def _pages(listing: Listing, connection: Connection, org_id: str, ids: Sequence[str]) -> Mapping[str, Any]:
    return paging.pages(connection, org_id, listing, ids)


def _marked_pages(
    connection: Connection, listing: Listing, org_id: str, ids: Sequence[str]
) -> tuple[Mark, Mapping[str, Slice[Any]]]:
    return log.mark(connection, org_id), _pages(listing, connection, org_id, ids)


def _totals(listing: Listing, connection: Connection, org_id: str, ids: Sequence[str]) -> Mapping[str, int]:
    conditions = [
        table_of(listing.model).c.org_id == org_id,
        *filters.clauses(listing.model, listing.conditions),
    ]
    found = paging.totals(connection, listing.model, listing.parent, ids, conditions)
    return {id_: found.get(id_, 0) for id_ in ids}
