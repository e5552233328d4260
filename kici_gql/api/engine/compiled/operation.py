"""One operation, compiled: its root field or fields, its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import GraphQLNonNull, GraphQLObjectType, OperationType
from graphql.execution.collect_fields import collect_fields
from graphql.execution.values import VariableValues
from strawberry import Schema

from kici_gql.api.engine.compiled.running import EncodedLists, NotCompilable, Run, Slot, Spent, Unlike
from kici_gql.api.engine.compiled.selection import Source
from kici_gql.api.engine.executor import FrameExecutor


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """An operation as two functions. It knows no viewer, and no variables but those that decide what is selected.

    `complete` turns the root value into the answer: a frame, what the mutation's resolver returned, or None for a
    query. `resolve` calls that resolver; None for the other kinds.
    """

    schema: Schema
    slots: tuple[Slot, ...]
    complete: Any
    resolve: Any
    coordinates: frozenset[str]
    """Every field that is selected, as `Type.field`."""

    def arguments(self, variables: VariableValues, first: int = 0) -> dict[int, dict[str, Any]]:
        """The arguments of each slot that takes any, from slot `first` on. Raises Unlike when they can't be had."""
        try:
            return {
                number: slot.arguments(self.schema, variables)
                for number, slot in enumerate(self.slots)
                if slot.definition.args and number >= first
            }
        except Exception as error:
            raise Unlike from error

    def start(
        self, context: Any, limit: int, arguments: Mapping[int, dict[str, Any]], encoded: EncodedLists
    ) -> Run:
        """An execution that has not begun."""
        return Run(context, self.slots, arguments, self.schema, limit, encoded)

    async def answer(self, run: Run, source: Any) -> bytes:
        """The encoded answer. Raises Unlike when graphql-core has to give it, Spent when the budget is used up."""
        try:
            data = self.complete(source, run)
            if run.pending:
                await run.settle()
            return orjson.dumps({"data": data})
        except (Spent, Unlike):
            raise
        except Exception as error:
            raise Unlike from error
        finally:
            if run.pending:
                run.abandon()


def compiled_operation(schema: Schema, executor: FrameExecutor) -> Compiled:
    """Generate the code of the executor's operation. Raises NotCompilable."""
    source, kind = Source(executor), executor.operation.operation
    root_type = executor.schema.get_root_type(kind)
    if root_type is None or any(fragment.variable_signatures for fragment in executor.fragments.values()):
        raise NotCompilable("fragment variables")
    collected = collect_fields(
        executor.schema, executor.fragments, executor.variable_values, root_type, executor.operation
    )
    resolve = None
    if kind is OperationType.QUERY:
        complete = source.query(root_type, collected)
    else:
        complete, resolve = _single(source, root_type, collected.grouped_field_set, kind)
    functions = source.built()
    return Compiled(
        schema,
        tuple(source.slots),
        functions[complete],
        functions[resolve] if resolve else None,
        frozenset(source.coordinates),
    )


def _single(
    source: Source, root_type: GraphQLObjectType, fields: Mapping[str, Any], kind: OperationType
) -> tuple[str, str | None]:
    """The functions of a mutation, or of a subscription, whose root field answers the frame itself."""
    if len(fields) != 1:
        raise NotCompilable("several root fields")
    ((key, details),) = fields.items()
    definition = root_type.fields.get(details[0].node.name.value)
    if definition is None:
        raise NotCompilable(key)
    slot, field = source.slot(definition, details[0].node)
    source.coordinates.add(f"{root_type.name}.{details[0].node.name.value}")
    body = []
    if kind is OperationType.SUBSCRIPTION:
        body += ["x.left -= 1", "if x.left < 0: raise x.spent()"]
    if isinstance(definition.type, GraphQLNonNull):
        body.append("if o is None: raise Unlike")
    body += [*source.value(definition.type, details, slot, "o"), f"return {{{key!r}: o}}"]
    complete = source.define("f", body)
    if kind is OperationType.SUBSCRIPTION:
        return complete, None
    return complete, source.define("m", [f"return {source.resolved(field, slot)}"])
