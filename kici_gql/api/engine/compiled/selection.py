"""Selections as Python source: for each object type at each place of a document, one function that builds a dict.

    { events { ... on AgentHeartbeat { agentId memoryUsedMb scalerId labels { name } } } }

becomes

    def f1(o, x):                                   # Label
        x.left -= 1
        if x.left < 0: raise x.spent()
        v0 = o.name
        if v0.__class__ is not str: v0 = s0(v0)     # the scalar's own way, which raises what it does not accept
        return {'name': v0}

    def f2(o, x):                                   # AgentHeartbeat
        …
        v3 = r0(o)                                  # a resolver of ours
        if v3.__class__ not in lists: raise Unlike
        v3 = [f1(i0, x) for i0 in v3]
        return {'agentId': v0, 'memoryUsedMb': v1, 'scalerId': v2, 'labels': v3}

Fragments, aliases, merged selections and @skip/@include are graphql-core's own `collect_fields`, asked when the code
is made; whoever calls makes one function for each set of values that those directives' variables have. Null where
the schema allows none, a wrong type, an exception: the code raises, and graphql-core runs the operation instead.
"""

from collections.abc import Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    is_abstract_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetails
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from kici_gql.api.engine.compiled.running import (
    Info,
    LastingValues,
    NotCompilable,
    Slot,
    Unlike,
    is_nothing,
    serializer,
)
from kici_gql.api.engine.executor import FrameExecutor
from kici_gql.api.engine.ports import Unchanging

_BACKREF = GraphQLCoreConverter.DEFINITION_BACKREF

# What a value must be to go into JSON as it is. Everything else takes the way over the scalar itself.
_PLAIN = {
    "String": "{v}.__class__ is not str",
    "ID": "{v}.__class__ is not str",
    "Int": "{v}.__class__ is not int or not -2147483648 <= {v} <= 2147483647",
    "Float": "{v}.__class__ is not float or {v} - {v} != 0.0",
    "Boolean": "{v} is not True and {v} is not False",
}


class Source:
    """Functions written so far, and the names they use."""

    def __init__(self, executor: FrameExecutor) -> None:
        self.executor = executor
        self.slots: list[Slot] = []
        self.coordinates: set[str] = set()
        """Every field that is selected, as `Type.field`."""
        self._text: list[str] = []
        self._names: dict[str, Any] = {
            "Unlike": Unlike,
            "Unchanging": Unchanging,
            "lists": (list, tuple, Unchanging),
            "is_nothing": is_nothing,
        }
        self._objects: dict[tuple[str, int], str] = {}
        self._alone: set[str] = set()  # functions that ask nothing but the object
        self._kept: list[object] = []  # so that no id in `_objects` is ever given to another list
        self._serializers: dict[str, str] = {}

    def bind(self, letter: str, value: object) -> str:
        """Make a value known to the generated code."""
        name = f"{letter}{len(self._names)}"
        self._names[name] = value
        return name

    def define(self, letter: str, body: Sequence[str]) -> str:
        """Write a function of an object `o` and the execution `x`."""
        name = self.bind(letter, None)
        self._text.append("\n    ".join([f"def {name}(o, x):", *body]))
        return name

    def built(self) -> dict[str, Any]:
        """Turn what was written into functions, by name."""
        names = dict(self._names)
        exec("\n".join(self._text), names)  # noqa: S102 - nothing in it comes from a request but checked names
        for each in names.values():
            if isinstance(each, _ByClass):
                each.link(names)
        return names

    def object(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> str:
        """Name of the function that turns an object of this type into a dict."""
        key = (type_.name, id(details))
        if key not in self._objects:
            self._kept.append(details)
            first = len(self.slots)
            name = _Object(self, type_).written(self.executor.collect_subfields(type_, details))
            self._objects[key] = name
            if all(slot.alone for slot in self.slots[first:]):
                self._alone.add(name)
        return self._objects[key]

    def query(self, type_: GraphQLObjectType, collected: CollectedFields) -> str:
        """Name of the function for the root fields of a query."""
        return _Object(self, type_, root=True).written(collected)

    def serializer(self, leaf: Any) -> str:
        """Name of the leaf type's own way to print a value."""
        if leaf.name not in self._serializers:
            self._serializers[leaf.name] = self.bind("s", serializer(leaf))
        return self._serializers[leaf.name]

    def slot(self, definition: GraphQLField, node: FieldNode) -> tuple[int, StrawberryField]:
        """Number a selected field. Raises NotCompilable for one that must not run twice."""
        field = strawberry_field(definition)
        if "runs_once" in field.metadata:
            raise NotCompilable(field.python_name)
        self.slots.append(Slot(definition, node, field))
        return len(self.slots) - 1, field

    def resolved(self, field: StrawberryField, slot: int) -> str:
        """The expression that fetches the raw value of a field of `o`."""
        resolver = field.base_resolver
        if resolver is None:
            return f"o.{field.python_name}"
        given = ["o"] if resolver.self_parameter else []
        parents = (resolver.parent_parameter, resolver.root_parameter)
        given += sorted({f"{parameter.name}=o" for parameter in parents if parameter is not None})
        if resolver.info_parameter is not None:
            given.append(f"{resolver.info_parameter.name}=x.info({slot})")
        if field.arguments:
            given.append(f"**x.args[{slot}]")
        return f"{self.bind('r', resolver.wrapped_func)}({', '.join(given)})"

    def value(self, type_: Any, details: list[FieldDetails], slot: int, v: str, depth: int = 0) -> list[str]:
        """Statements that complete the variable `v` in place."""
        if isinstance(type_, GraphQLNonNull):
            return [*self._present(type_.of_type, details, slot, v, depth)]
        body = self._present(type_, details, slot, v, depth)
        return [f"if {v} is not None:", *("    " + line for line in body)] if body else []

    def _present(self, type_: Any, details: list[FieldDetails], slot: int, v: str, depth: int) -> list[str]:
        if isinstance(type_, GraphQLList):
            return self._list(type_.of_type, details, slot, v, depth)
        if isinstance(type_, GraphQLScalarType):
            convert = f"{v} = {self.serializer(type_)}({v})"
            return [f"if {_PLAIN[type_.name].format(v=v)}: {convert}"] if type_.name in _PLAIN else [convert]
        if isinstance(type_, GraphQLEnumType):
            return [f"{v} = {self._enum(type_)}.get({v}) or {self.serializer(type_)}({v})"]
        if isinstance(type_, GraphQLObjectType):
            return [f"{v} = {self.object(type_, details)}({v}, x)"]
        if is_abstract_type(type_):
            return [f"{v} = {self._abstract(type_, details, slot, v)}"]
        raise NotCompilable(f"the type {type_}")

    def _list(self, type_: Any, details: list[FieldDetails], slot: int, v: str, depth: int) -> list[str]:
        usual = [
            f"if {v}.__class__ not in lists: raise Unlike",
            f"{v} = {self._items(type_, details, slot, v, depth)}",
        ]
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else None
        item = self.object(inner, details) if isinstance(inner, GraphQLObjectType) else None
        if item not in self._alone:
            return usual
        shown = f"{v} = x.encoded.shown({v}, {item}, x)"
        return [f"if {v}.__class__ is Unchanging: {shown}", "else:", *("    " + line for line in usual)]

    def _items(self, type_: Any, details: list[FieldDetails], slot: int, v: str, depth: int) -> str:
        """A comprehension where one expression completes an item, a call of a small function elsewhere."""
        item, inner = f"i{depth}", type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(inner, GraphQLObjectType):
            done = f"{self.object(inner, details)}({item}, x)"
        elif is_abstract_type(inner):
            done = self._abstract(inner, details, slot, item)
        elif isinstance(inner, GraphQLScalarType) and inner.name in _PLAIN:
            done = f"{self.serializer(inner)}({item}) if {_PLAIN[inner.name].format(v=item)} else {item}"
        else:
            done = f"{self.define('l', [*self._present(inner, details, slot, 'o', depth + 1), 'return o'])}({item}, x)"
        if inner is type_:
            done = f"None if {item} is None else {done}"
        return f"[{done} for {item} in {v}]"

    def _enum(self, type_: GraphQLEnumType) -> str:
        """Members and their values to names; a member of a StrEnum and its text are one key."""
        members = getattr(type_, "wrapped_cls", ())
        return self.bind("e", {member: type_.coerce_output_value(member) for member in members})

    def _abstract(self, type_: Any, details: list[FieldDetails], slot: int, v: str) -> str:
        """The expression that completes `v` by the function for its class."""
        by_class = _ByClass(type_, slot)
        for possible in self.executor.schema.get_possible_types(type_):
            definition = (possible.extensions or {}).get(_BACKREF)
            own = definition and definition.concrete_of is None and not definition.is_type_of
            by_class.add(
                possible.name,
                definition.origin if definition and own else None,
                self.object(possible, details),
            )
        name = self.bind("u", by_class)
        return f"({name}.get({v}.__class__) or {name}.resolved({v}, x))({v}, x)"


class _ByClass(dict[type, Any]):
    """From an object's class to the function of its GraphQL type; what has no class of its own is asked for its type."""

    def __init__(self, type_: Any, slot: int) -> None:
        super().__init__()
        self._type = type_
        self._slot = slot
        self._waiting: list[tuple[str, type | None, str]] = []
        self._by_name: dict[str, Any] = {}

    def add(self, type_name: str, origin: type | None, function: str) -> None:
        self._waiting.append((type_name, origin, function))

    def link(self, names: dict[str, Any]) -> None:
        """Replace the functions' names by the functions."""
        for type_name, origin, function in self._waiting:
            self._by_name[type_name] = names[function]
            if origin is not None:
                self[origin] = names[function]

    def resolved(self, o: Any, x: Any) -> Any:
        """The function for an object that only its GraphQL type can tell apart, such as a row."""
        if is_nothing(o):
            raise Unlike
        return self._by_name[self._type.resolve_type(o, x.raw(self._slot), self._type)]


class _Object:
    """Writes the function of one object type at one place."""

    def __init__(self, source: Source, type_: GraphQLObjectType, *, root: bool = False) -> None:
        self._source = source
        self._type = type_
        self._root = root
        self._body: list[str] = []
        self._later: list[str] = []
        self._pairs: list[str] = []
        self._touched = False

    def written(self, collected: CollectedFields) -> str:
        """Name of the function."""
        if collected.new_defer_usages:
            raise NotCompilable("@defer")
        for number, (key, details) in enumerate(collected.grouped_field_set.items()):
            self._field(number, key, details)
        return self._source.define("f", [*self._head(len(collected.grouped_field_set)), *self._tail()])

    def _head(self, fields: int) -> list[str]:
        head = [f"x.left -= {fields}", "if x.left < 0: raise x.spent()"]
        if self._root:
            return head
        if self._type.is_type_of is not None:
            test = self._source.bind("t", self._type.is_type_of)
            info = self._source.bind("n", Info(None, self._type.name, self._source.executor.schema))
            head.append(f"if not {test}(o, {info}): raise Unlike")
        elif not self._touched:
            head.append("if is_nothing(o): raise Unlike")
        return head

    def _tail(self) -> list[str]:
        built = "{" + ", ".join(self._pairs) + "}"
        return [*self._body, f"d = {built}", *self._later, "return d"] if self._later else [
            *self._body, f"return {built}"
        ]  # fmt: skip

    def _field(self, number: int, key: str, details: list[FieldDetails]) -> None:
        node = details[0].node
        name, v = node.name.value, f"v{number}"
        if name == "__typename":
            self._pairs.append(f"{key!r}: {self._type.name!r}")
            return
        definition = self._type.fields.get(name)
        if definition is None:
            raise NotCompilable(f"{self._type.name}.{name}")
        self._source.coordinates.add(f"{self._type.name}.{name}")
        slot, field = self._source.slot(definition, node)
        got = self._source.resolved(field, slot)
        self._touched = self._touched or field.base_resolver is None
        if field.is_async or "at_once" in field.metadata:
            complete = self._source.define(
                "c", [*self._source.value(definition.type, details, slot, "o"), "return o"]
            )
            if isinstance(definition.type, GraphQLNonNull):
                complete = self._source.define(
                    "c", ["if o is None: raise Unlike", f"return {complete}(o, x)"]
                )
            self._pairs.append(f"{key!r}: None")
            self._later.append(f"x.later({got}, d, {key!r}, {complete})")
            return
        self._pairs.append(f"{key!r}: {v}")
        completed = self._source.value(definition.type, details, slot, v)
        if "lasting" in field.metadata and all(each.alone for each in self._source.slots[slot + 1 :]):
            completed = self._once(v, completed)
        self._body += [f"{v} = {got}", *completed]

    def _once(self, v: str, complete: list[str]) -> list[str]:
        """Complete `v` unless that was done before for this very object; its values count each time."""
        kept = self._source.bind("k", LastingValues())
        return [
            f"w = {kept}.get(id({v}))",
            "if w is None:",
            f"    p, l = {v}, x.left",
            *("    " + line for line in complete),
            f"    {kept}.add(p, {v}, l - x.left)",
            "else:",
            "    x.left -= w.values",
            "    if x.left < 0: raise x.spent()",
            f"    {v} = w.shown",
        ]


def strawberry_field(definition: GraphQLField) -> StrawberryField:
    """Strawberry's own idea of a field; raises NotCompilable where it would do more than call a resolver."""
    field = (definition.extensions or {}).get(_BACKREF)
    if not isinstance(field, StrawberryField) or field.extensions:
        raise NotCompilable("a field with extensions")
    if field.base_resolver is None and field.default_resolver is not getattr:
        raise NotCompilable("another default resolver")
    return field
