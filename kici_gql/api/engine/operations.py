"""Runs what transports bring in: queries and mutations to one result, subscriptions to encoded pages.

It goes straight to graphql-core's executor instead of through `strawberry.Schema.execute`, which parses and
validates each request anew and would run our documents through hooks that nobody has hung anything on.
Strawberry's resolvers, its `info` and its validation rules are the same on both ways.
"""

from collections.abc import AsyncGenerator, Collection, Hashable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
import strawberry
from graphql import ExecutionResult, OperationType
from graphql.execution import create_source_event_stream

from kici_gql.api.engine import faults
from kici_gql.api.engine.documents import Document, Documents, Operation
from kici_gql.api.engine.execution import Execution
from kici_gql.api.engine.executor import FrameExecutor
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.api.engine.groups import Groups, Page, Render, Sink
from kici_gql.api.engine.kept import KeptAnswers
from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.live import Live, Presence
from kici_gql.api.engine.ports import MakeContext, Viewer
from kici_gql.api.engine.requests import GraphQLRequest


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose document is valid and whose operation is known."""

    request: GraphQLRequest
    document: Document
    operation: Operation

    @property
    def kind(self) -> OperationType:
        return self.operation.kind


@dataclass(frozen=True, slots=True)
class Result:
    """The encoded answer of an operation that ran: it has `data`, if only null.

    `tag` names an answer that may be kept; `unchanged` says that the caller has the one of that name already.
    """

    body: bytes
    tag: str | None = None
    unchanged: bool = False


class Subscription:
    """One reader of a stream. Nothing runs and nothing is held until `pages` is iterated, which can be done once."""

    def __init__(
        self, groups: Groups, viewer: Viewer, live: Live[Any], selection: Hashable, render: Render
    ) -> None:
        self._groups = groups
        self._viewer = viewer
        self._live = live
        self._selection = selection
        self._render = render

    @property
    def presence(self) -> Presence | None:
        """What the reader tells of itself by reading, if it does."""
        return self._live.presence

    async def pages(self, sink: Sink | None = None) -> AsyncGenerator[Page, None]:
        """Encoded frames, without end; raises StreamBroken when the stream cannot go on.

        While `sink` keeps up, frames are written to it and don't come out here.
        """
        after = self._live.after
        group = self._groups.join(self, self._viewer, self._selection, self._live.view, self._render)
        # The group has its own; of each reader's nothing shall stay, an executor least of all.
        del self._selection, self._live, self._render
        try:
            first = await group.first(after)
            if isinstance(first, str):
                cursor = first
            else:
                yield first
                cursor = cast("str", first.cursor)
            while True:
                if sink is not None and sink.ready():
                    cursor = await group.follow(cursor, sink)
                page = await group.next(cursor)
                yield page
                cursor = cast("str", page.cursor)
        finally:
            self._groups.leave(self, group)


class PlainSubscription:
    """A stream that is no view of a log, say a resolver that is a generator; each reader has its own."""

    presence: Presence | None = None

    def __init__(self, source: Any, viewer: Viewer, render: Render) -> None:
        self._source = source
        self._viewer = viewer
        self._render = render

    async def pages(self, sink: Sink | None = None) -> AsyncGenerator[Page, None]:
        """Encoded events until the source ends; raises StreamBroken when it fails."""
        async with aclosing(aiter(self._source)) as events:
            while True:
                try:
                    event = await anext(events)
                    page = Page(await self._render(event, self._viewer), getattr(event, "cursor", None))
                except StopAsyncIteration:
                    return
                except Exception as error:  # noqa: BLE001 - goes out typed and masked
                    fault = faults.from_exception(error, faults.new_request_id())
                    raise faults.StreamBroken([fault]) from None
                yield page


class Operations:
    """The one door of the engine."""

    def __init__(
        self,
        schema: strawberry.Schema,
        make_context: MakeContext,
        *,
        limits: Limits | None = None,
        groups: Groups | None = None,
        kept: KeptAnswers | None = None,
    ) -> None:
        limits = limits or Limits()
        self._kept = kept
        self.groups = groups or Groups()
        self.documents = Documents(schema._schema, limits)  # noqa: SLF001 - Strawberry has no public name for it
        self._execution = Execution(schema, make_context, limits)

    def prepare(self, request: GraphQLRequest) -> Prepared:
        """Parse, measure and validate, or remember having done so; raises RequestRefused."""
        document = self.documents.get(request.query)
        return Prepared(request, document, document.operation(request.operation_name))

    async def run(
        self, prepared: Prepared, viewer: Viewer, request_id: str | None = None, have: Collection[str] = ()
    ) -> Result:
        """Run a query or mutation; raises RequestRefused when its variables don't fit.

        `have` are the tags of answers that the caller has kept; `*` is any.
        """
        request_id = request_id or faults.new_request_id()
        if prepared.kind is OperationType.QUERY:
            return await self._query(prepared, viewer, request_id, have)
        return Result(
            await self._execution.mutation(
                prepared.document, prepared.operation, prepared.request, viewer, request_id
            )
        )

    async def _query(
        self, prepared: Prepared, viewer: Viewer, request_id: str, have: Collection[str]
    ) -> Result:
        kept, compilations, tag = self._kept, prepared.operation.compilations, None
        if kept is not None and compilations.keepable:
            tag = await kept.tag(prepared.request, viewer)
        if kept is not None and tag is not None:
            unchanged = tag in have or "*" in have
            known = b"" if unchanged else kept.get(tag)
            if known is not None:
                return Result(known, tag, unchanged=unchanged)
        body, fields = await self._execution.query(
            prepared.document, prepared.operation, prepared.request, viewer, request_id
        )
        compilations.keepable = kept is not None and fields is not None and kept.may_keep(fields)
        if kept is None or tag is None or not compilations.keepable:
            return Result(body)
        kept.keep(tag, body)
        return Result(body, tag)

    async def subscribe(self, prepared: Prepared, viewer: Viewer) -> Subscription | PlainSubscription:
        """Call the resolver and answer the reader; raises RequestRefused when it refuses."""
        request_id = faults.new_request_id()
        executor = self._execution.executor(prepared.document, prepared.request, viewer, request_id)
        source = await _source(executor, request_id)
        render = self._execution.renderer(prepared.operation, executor)
        if not isinstance(source, Live):
            return PlainSubscription(source, viewer, render)
        if source.after is None and prepared.request.resume is not None:
            source = replace(source, after=prepared.request.resume)
        executor.context_value = None  # each frame gets its own; this one would live as long as the group
        coerced = executor.variable_values.coerced
        # What was left out has its default, which null has not.
        variables = {name: coerced[name] for name in prepared.operation.shape_variables if name in coerced}
        # As text, for what orjson encodes keeps the whole buffer it was encoded in: four kilobytes at least.
        encoded = orjson.dumps(variables, default=repr, option=orjson.OPT_SORT_KEYS).decode()
        return Subscription(self.groups, viewer, source, (prepared.operation.shape, encoded), render)


async def _source(executor: FrameExecutor, request_id: str) -> Any:
    """What the subscription's resolver returned; raises RequestRefused when it raised."""
    stream: Any = create_source_event_stream(executor)
    if executor.is_awaitable(stream):
        stream = await stream
    if isinstance(stream, ExecutionResult):
        raise RequestRefused(faults.from_execution(stream.errors or [], request_id))
    return stream
