"""What generated code stands on while it runs."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import CoroutineType
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLField, GraphQLSchema, Undefined
from graphql.execution.values import VariableValues, get_argument_values
from graphql.language import FieldNode
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from kici_gql.api.engine.ports import Unchanging
from kici_gql.errors import LimitExceeded

_MOST_LASTING = 256
_BYTES_PER_LIST = 512  # so that many short ones count, too


class NotCompilable(Exception):
    """The document asks for something that is left to graphql-core; the text says what."""


class Unlike(Exception):
    """The data, or a resolver, did not behave as the generated code expects.

    Nothing is lost: graphql-core then executes the same operation and says what is wrong, where, and which part of
    the answer it nulls. Generated code need not know any of that.
    """


class Spent(LimitExceeded):
    """The budget of values is used up."""


class Info:
    """The part of GraphQLResolveInfo that costs nothing. Whoever asks for more gets an AttributeError: see Unlike."""

    __slots__ = ("context", "field_name", "schema")

    is_awaitable = staticmethod(optimized_is_awaitable)

    def __init__(self, context: Any, field_name: str, schema: GraphQLSchema) -> None:
        self.context = context
        self.field_name = field_name
        self.schema = schema


class Slot(NamedTuple):
    """One selected field. What its resolver takes is made once per execution, for all its objects."""

    definition: GraphQLField
    node: FieldNode
    field: StrawberryField

    @property
    def alone(self) -> bool:
        """Whether the object decides alone what the field is, at once."""
        resolver = self.field.base_resolver
        asks = resolver is not None and resolver.info_parameter is not None
        return not (asks or self.field.is_async or self.definition.args)

    def arguments(self, schema: Schema, variables: VariableValues) -> dict[str, Any]:
        """Keyword arguments as the resolver wants them."""
        given = get_argument_values(self.definition, self.node, variables)
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(given, self.field.arguments, registry, schema.config)


class Shown(NamedTuple):
    """What was made of a value, and how many values that counts for. It holds the value, so that its id stays its own."""

    value: object
    shown: Any
    values: int


class LastingValues(dict[int, Shown]):
    """What one field shows of values that nobody changes, by their ids."""

    def add(self, value: object, shown: Any, values: int) -> None:
        if len(self) >= _MOST_LASTING:
            self.clear()
        self[id(value)] = Shown(value, shown, values)


class Encoded(NamedTuple):
    """What was made of an unchanging list, and how many values that counts for. It holds the list, as above."""

    items: Unchanging
    fragment: orjson.Fragment
    values: int
    size: int


class EncodedLists:
    """What operations show of unchanging lists. Bounded in bytes; what was least recently shown goes first."""

    def __init__(self, max_bytes: int = 16_777_216) -> None:
        self._max_bytes = max_bytes
        self._lists: OrderedDict[tuple[object, int], Encoded] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._lists)

    def shown(self, items: Unchanging, complete: "Callable[[Any, Run], Any]", run: "Run") -> orjson.Fragment:
        """The completed items, encoded. `complete` asks nothing but the item; its values count each time."""
        key = complete, id(items)
        found = self._lists.get(key)
        if found is not None:
            self._lists.move_to_end(key)
            run.left -= found.values
            if run.left < 0:
                raise run.spent()
            return found.fragment
        left = run.left
        # A copy: what orjson encodes keeps the buffer it was encoded in, which is up to twice as large.
        body = bytes(memoryview(orjson.dumps([complete(item, run) for item in items])))
        fragment = orjson.Fragment(body)
        size = _BYTES_PER_LIST + len(body)
        self._lists[key] = Encoded(items, fragment, left - run.left, size)
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, oldest = self._lists.popitem(last=False)
            self.bytes -= oldest.size
        return fragment


class Later(NamedTuple):
    """A value that has to be waited for, and where it goes."""

    value: Coroutine[Any, Any, Any]
    target: dict[str, Any]
    key: str
    complete: "Callable[[Any, Run], Any]"


class Run:
    """One execution: what all generated functions share. `args` are the arguments of the slots that take any."""

    __slots__ = (
        "_context",
        "_infos",
        "_raws",
        "_schema",
        "_slots",
        "args",
        "encoded",
        "left",
        "limit",
        "pending",
    )

    def __init__(
        self,
        context: Any,
        slots: Sequence[Slot],
        args: Mapping[int, dict[str, Any]],
        schema: Schema,
        limit: int,
        encoded: EncodedLists,
    ) -> None:
        self.limit = limit
        self.left = limit
        self.args = args
        self.encoded = encoded
        self._context = context
        self._slots = slots
        self._schema = schema
        self._raws: dict[int, Info] = {}
        self._infos: dict[int, Any] = {}
        self.pending: list[Later] = []

    def raw(self, slot: int) -> Info:
        """What graphql-core would hand a resolver or a type."""
        found = self._raws.get(slot)
        if found is None:
            core = self._schema._schema  # noqa: SLF001 - Strawberry has no public name for it
            found = self._raws[slot] = Info(self._context, self._slots[slot].node.name.value, core)
        return found

    def info(self, slot: int) -> Any:
        """What Strawberry makes of it for resolvers that ask for `info`."""
        found = self._infos.get(slot)
        if found is None:
            make: Any = self._schema.config.info_class
            found = self._infos[slot] = make(_raw_info=self.raw(slot), _field=self._slots[slot].field)
        return found

    def later(self, value: Any, target: dict[str, Any], key: str, complete: Any) -> None:
        """Put the completed value into its place, at once or when it is there."""
        if value.__class__ is not CoroutineType:
            target[key] = complete(value, self)
            return
        target[key] = None  # keys stand in the order of the document
        self.pending.append(Later(value, target, key, complete))

    async def settle(self) -> None:
        """Wait for pending values, level by level: a level's data loaders see all their keys at once."""
        while self.pending:
            pending, self.pending = self.pending, []
            if len(pending) == 1:
                values: list[Any] = [await pending[0].value]
            else:
                values = await asyncio.gather(*(each.value for each in pending), return_exceptions=True)
            for each, value in zip(pending, values, strict=True):
                if isinstance(value, BaseException):
                    raise value
                each.target[each.key] = each.complete(value, self)

    def abandon(self) -> None:
        """Close what nobody will wait for."""
        for each in self.pending:
            each.value.close()
        self.pending.clear()

    def spent(self) -> Spent:
        """What to raise when `left` fell below zero."""
        return Spent(
            f"The answer has too many values, the limit is max_values={self.limit}. Ask for shorter pages."
        )


def serializer(leaf: Any) -> Callable[[Any], Any]:
    """The leaf type's own way to print a value, for whatever the generated test did not let pass."""
    coerce = leaf.coerce_output_value

    def serialize(value: Any) -> Any:
        if value is None or value is Undefined or isinstance(value, Exception):
            raise Unlike
        printed = coerce(value)
        if printed is None or printed is Undefined:
            raise Unlike
        return printed

    return serialize


def is_nothing(value: Any) -> bool:
    """Whether graphql-core would not take this for an object."""
    return value is None or value is Undefined or isinstance(value, Exception) or hasattr(value, "__await__")
