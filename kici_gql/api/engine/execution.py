"""How an operation is executed: by generated code where there is some, by graphql-core wherever that gives up."""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

import orjson
import strawberry
from graphql import MiddlewareManager

from kici_gql.api.engine import faults
from kici_gql.api.engine.compiled.cache import Compilations
from kici_gql.api.engine.compiled.operation import Compiled
from kici_gql.api.engine.compiled.running import EncodedLists, Run, Spent, Unlike
from kici_gql.api.engine.documents import Document, Operation
from kici_gql.api.engine.executor import Budget, FrameExecutor
from kici_gql.api.engine.faults import FormattedError, RequestRefused
from kici_gql.api.engine.groups import Render
from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.live import Frame
from kici_gql.api.engine.ports import MakeContext, Viewer
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.errors import ErrorCode, LimitExceeded


class Execution:
    """Executes operations of one schema. The document has been validated."""

    def __init__(self, schema: strawberry.Schema, make_context: MakeContext, limits: Limits) -> None:
        self._schema = schema
        self._make_context = make_context
        self._limits = limits
        self._encoded = EncodedLists()

    async def query(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        viewer: Viewer,
        request_id: str,
    ) -> tuple[bytes, frozenset[str] | None]:
        """The encoded answer, and its fields when it has no errors and generated code gave it.

        Raises RequestRefused when the variables don't fit.
        """
        executor = self.executor(document, request, viewer, request_id)
        compiled = operation.compilations.get(self._schema, executor)
        try:
            async with asyncio.timeout(self._limits.query_seconds):
                if compiled is None:
                    return await executed(executor, request_id), None
                try:
                    arguments = compiled.arguments(executor.variable_values)
                    run = self._start(compiled, executor.context_value, arguments)
                    body = await _answered(compiled, operation.compilations, run, None)
                    return body, compiled.coordinates
                except Spent as spent:
                    return answer(None, [faults.from_known(spent)]), None
                except Unlike:
                    return await executed(
                        self.executor(document, request, viewer, request_id), request_id
                    ), None
        except TimeoutError:
            seconds = self._limits.query_seconds
            late = LimitExceeded(f"The query took longer than query_seconds={seconds:g}.", passing=True)
            return answer(None, [faults.from_known(late)]), None

    async def mutation(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        viewer: Viewer,
        request_id: str,
    ) -> bytes:
        """The encoded answer; raises RequestRefused when the variables don't fit. The resolver runs once at most."""
        compilations = operation.compilations
        compiled, run = self._hot(compilations, request, viewer, request_id)
        if compiled is None or run is None:
            executor = self.executor(document, request, viewer, request_id)
            compiled = compilations.get(self._schema, executor)
            if compiled is None:
                return await executed(executor, request_id)
            try:
                arguments = compiled.arguments(executor.variable_values)
                run = self._start(compiled, executor.context_value, arguments)
            except Unlike:
                return await executed(executor, request_id)
        outcome = await _outcome(compiled, run)
        try:
            if isinstance(outcome, Exception):
                raise Unlike
            body = await compiled.answer(run, outcome)
            compilations.judge(like=True)
            return body
        except Spent as spent:
            return answer(None, [faults.from_known(spent)])
        except Unlike:
            compilations.judge(like=isinstance(outcome, Exception))
            known = MiddlewareManager(_replaying(outcome))
            executor = self.executor(document, request, viewer, request_id, middleware=known)
            return await executed(executor, request_id)

    def renderer(self, operation: Operation, executor: FrameExecutor) -> Render:
        """What turns each frame of a subscription into its encoded answer."""
        compilations = operation.compilations
        compiled = compilations.get(self._schema, executor, at_once=True)
        arguments: Mapping[int, dict[str, Any]] = {}
        if compiled is not None:
            try:
                arguments = compiled.arguments(executor.variable_values)
            except Unlike:
                compiled = None

        async def render(frame: Frame, viewer: Viewer) -> bytes:
            request_id = faults.new_request_id()
            if compiled is not None:
                context = self._make_context(viewer, request_id)
                run = self._start(compiled, context, arguments)
                try:
                    return await _answered(compiled, compilations, run, frame)
                except Spent as spent:
                    return answer(None, [faults.from_known(spent)])
                except Unlike:
                    pass  # graphql-core does it again, in a context that remembers nothing of this
            again = executor.for_frame(frame, self._make_context(viewer, request_id))
            return await executed(again, request_id)

        return render

    def executor(
        self, document: Document, request: GraphQLRequest, viewer: Viewer, request_id: str, **more: Any
    ) -> FrameExecutor:
        """graphql-core's executor with coerced variables; raises RequestRefused when they don't fit."""
        try:
            built = FrameExecutor.prepared(
                schema=self._schema._schema,  # noqa: SLF001 - Strawberry has no public name for it
                document=document.node,
                context_value=self._make_context(viewer, request_id),
                raw_variable_values=request.variables,
                operation_name=request.operation_name,
                budget=Budget(self._limits.max_values),
                **more,
            )
        except Exception as error:  # noqa: BLE001 - goes out typed and masked
            raise RequestRefused([faults.from_exception(error, request_id)]) from None
        if isinstance(built, list):
            raise RequestRefused([faults.from_graphql(error, ErrorCode.INVALID_INPUT) for error in built])
        return built

    def _start(self, compiled: Compiled, context: object, arguments: Mapping[int, dict[str, Any]]) -> Run:
        return compiled.start(context, self._limits.max_values, arguments, self._encoded)

    def _hot(
        self, compilations: Compilations, request: GraphQLRequest, viewer: Viewer, request_id: str
    ) -> tuple[Compiled | None, Run | None]:
        """An execution that graphql-core had no part in, if the operation and its variables allow it."""
        hot = compilations.hot
        if hot is None:
            return None, None
        try:
            given = {**hot.fixed, 0: hot.arguments(request.variables or {})}
            context = self._make_context(viewer, request_id)
            return hot.compiled, self._start(hot.compiled, context, given)
        except Exception:  # noqa: BLE001 - graphql-core will say what is wrong
            return None, None


async def _answered(compiled: Compiled, compilations: Compilations, run: Run, source: object) -> bytes:
    """The answer by generated code. Raises Spent, or Unlike when graphql-core has to give it."""
    try:
        body = await compiled.answer(run, source)
    except Unlike:
        compilations.judge(like=False)
        raise
    compilations.judge(like=True)
    return body


async def _outcome(compiled: Compiled, run: Run) -> object:
    """What the mutation's resolver answered or raised."""
    try:
        value = compiled.resolve(None, run)
        return await value if inspect.isawaitable(value) else value
    except Exception as error:  # noqa: BLE001 - an outcome like any other: graphql-core knows how to print it
        return error


def _replaying(outcome: object) -> Any:
    """A middleware that answers the root field with what is known, and calls all other resolvers."""

    def replay(next_: Any, root: Any, info: Any, **arguments: Any) -> Any:
        if info.path.prev is not None:
            return next_(root, info, **arguments)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return replay


async def executed(executor: FrameExecutor, request_id: str) -> bytes:
    """Run the operation to its encoded answer; whatever is raised becomes an error in it."""
    try:
        result: Any = executor.execute_operation()
        if executor.is_awaitable(result):
            result = await result
        if executor.budget.left < 0:
            raise LimitExceeded(executor.budget.refusal())
        if not result.errors:
            return orjson.dumps({"data": result.data})
        return answer(result.data, faults.from_execution(result.errors, request_id))
    except Exception as error:  # noqa: BLE001 - graphql-core lets out what it did not foresee
        return answer(None, [faults.from_exception(error, request_id)])


def answer(data: object, errors: list[FormattedError]) -> bytes:
    """An encoded answer that has errors."""
    return orjson.dumps({"data": data, "errors": errors})
