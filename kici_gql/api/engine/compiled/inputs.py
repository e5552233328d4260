"""Variables to Strawberry inputs in one step, for operations that hand each argument over as a variable.

    mutation ($input: BeatInput!) { beat(input: $input) { … } }

gets, for the input type behind it,

    def c1(v):                                     # AgentBeatInput
        if v.__class__ is not dict: raise Unlike
        n = 2
        w0 = v['agentId']
        if w0.__class__ is not str: raise Unlike
        w1 = v.get('activeJobs', missing)
        if w1 is missing: w1 = d1
        else:
            n += 1
            …
        if len(v) != n: raise Unlike               # a field that the type does not have
        o = new(K1)
        o.agent_id = w0
        o.active_jobs = w1
        return o

Only what is exactly right passes. Whatever graphql-core would coerce (a number for an ID, one item for a list), and
whatever it would refuse, raises Unlike, and graphql-core coerces or refuses it with its own words.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    type_from_ast,
)
from strawberry import Schema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryMaybe

from kici_gql.api.engine.compiled.running import NotCompilable, Slot, Unlike

Arguments = Callable[[Mapping[str, Any]], dict[str, Any]]

_BACKREF = GraphQLCoreConverter.DEFINITION_BACKREF
_MISSING = object()

# What a JSON value must not be. Everything else of these scalars is taken as it is.
_REFUSED = {
    "String": "{v}.__class__ is not str",
    "ID": "{v}.__class__ is not str",
    "Int": "{v}.__class__ is not int or not -2147483648 <= {v} <= 2147483647",
    "Float": "{v}.__class__ is not float",
    "Boolean": "{v} is not True and {v} is not False",
}


def compiled_arguments(schema: Schema, operation: OperationDefinitionNode, slot: Slot) -> Arguments:
    """From the variables of a request to the keyword arguments of the root field's resolver. Raises NotCompilable."""
    source = _Source(schema._schema)  # noqa: SLF001 - Strawberry has no public name for it
    names = {
        schema.config.name_converter.from_argument(each): each.python_name for each in slot.field.arguments
    }
    declared = {each.variable.name.value: each for each in operation.variable_definitions or ()}
    body = ["k = {}"]
    for argument in slot.node.arguments or ():
        if not isinstance(argument.value, VariableNode):
            raise NotCompilable("a literal argument")
        definition = declared[argument.value.name.value]
        type_: Any = type_from_ast(source.schema, definition.type)
        if definition.default_value is not None or definition.directives:
            raise NotCompilable("a variable with a default")
        if str(type_) != str(slot.definition.args[argument.name.value].type):
            raise NotCompilable("a variable of another type than its argument")
        body += source.taken("w", argument.value.name.value, type_, f"k[{names[argument.name.value]!r}]")
    name = source.define("g", [*body, "return k"])
    return source.built(name)


class _Source:
    """Functions written so far; each takes a decoded JSON value `v`."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._text: list[str] = []
        self._names: dict[str, Any] = {"Unlike": Unlike, "missing": _MISSING, "new": object.__new__}
        self._inputs: dict[str, str] = {}

    def bind(self, letter: str, value: object) -> str:
        name = f"{letter}{len(self._names)}"
        self._names[name] = value
        return name

    def define(self, letter: str, body: list[str]) -> str:
        name = self.bind(letter, None)
        self._text.append("\n    ".join([f"def {name}(v):", *body]))
        return name

    def built(self, name: str) -> Arguments:
        exec("\n".join(self._text), self._names)  # noqa: S102 - made from the schema; only names come from a document
        function: Arguments = self._names[name]
        return function

    def taken(self, w: str, name: str, type_: Any, target: str) -> list[str]:
        """Statements that fetch one variable; a nullable one may be left out."""
        lines = [f"{w} = v.get({name!r}, missing)"]
        required = isinstance(type_, GraphQLNonNull)
        if required:
            return [
                *lines,
                f"if {w} is missing: raise Unlike",
                *self.checked(type_, w),
                f"{target} = {w}",
            ]
        inner = [*self.checked(type_, w), f"{target} = {w}"]
        return [*lines, f"if {w} is not missing:", *("    " + line for line in inner)]

    def checked(self, type_: Any, w: str) -> list[str]:
        """Statements that turn the JSON value in `w` into the value of the type, in place."""
        if isinstance(type_, GraphQLNonNull):
            return self._present(type_.of_type, w)
        return [f"if {w} is not None:", *("    " + line for line in self._present(type_, w))]

    def _present(self, type_: Any, w: str) -> list[str]:
        if isinstance(type_, GraphQLScalarType):
            if type_.name in _REFUSED:
                return [f"if {_REFUSED[type_.name].format(v=w)}: raise Unlike"]
            parse = self.bind("p", type_.coerce_input_value)
            return [f"{w} = {parse}({w})", f"if {w} is None: raise Unlike"]
        if isinstance(type_, GraphQLEnumType):
            members = {name: type_.coerce_input_value(name) for name in type_.values}
            return [
                f"if {w}.__class__ is not str: raise Unlike",
                f"{w} = {self.bind('e', members)}[{w}]",
            ]
        if isinstance(type_, GraphQLList):
            item = self._item(type_.of_type)
            return [
                f"if {w}.__class__ is not list: raise Unlike",
                f"{w} = [{item}(i) for i in {w}]",
            ]
        if isinstance(type_, GraphQLInputObjectType):
            return [f"{w} = {self._input(type_)}({w})"]
        raise NotCompilable(f"the input type {type_}")

    def _item(self, type_: Any) -> str:
        """Name of the function for the items of a list."""
        if isinstance(type_, GraphQLNonNull) and isinstance(type_.of_type, GraphQLInputObjectType):
            return self._input(type_.of_type)
        return self.define("l", [*self.checked(type_, "v"), "return v"])

    def _input(self, type_: GraphQLInputObjectType) -> str:
        if type_.name in self._inputs:
            return self._inputs[type_.name]
        definition = (type_.extensions or {}).get(_BACKREF)
        if definition is None or definition.from_input is not None or type_.is_one_of:
            raise NotCompilable(f"the input type {type_}")
        name = self._inputs[type_.name] = self.bind("c", None)
        body, required = ["if v.__class__ is not dict: raise Unlike"], 0
        lines: list[str] = []
        given: list[tuple[str, str]] = []
        for number, (key, field) in enumerate(type_.fields.items()):
            python = (field.extensions or {})[_BACKREF]
            if isinstance(python.type, StrawberryMaybe):
                raise NotCompilable("Maybe")
            must = isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined
            must = must and field.default is None
            required += must
            lines += self._field(f"w{number}", key, field.type, None if must else python)
            given.append((python.python_name, f"w{number}"))
        body += [f"n = {required}", *lines, "if len(v) != n: raise Unlike"]
        kind = self.bind("K", definition.origin)
        if _only_sets_fields(definition.origin):
            body += [f"o = new({kind})", *(f"o.{field} = {w}" for field, w in given), "return o"]
        else:
            body.append(f"return {kind}({', '.join(f'{field}={w}' for field, w in given)})")
        self._text.append("\n    ".join([f"def {name}(v):", *body]))
        return name

    def _field(self, w: str, key: str, type_: Any, optional: Any) -> list[str]:
        """One field of an input; `optional` is Strawberry's field of one that may be left out."""
        if optional is None:
            return [f"{w} = v[{key!r}]", *self.checked(type_, w)]
        inner = ["n += 1", *self.checked(type_, w)]
        return [
            f"{w} = v.get({key!r}, missing)",
            f"if {w} is missing: {w} = {self._default(optional)}",
            "else:",
            *("    " + line for line in inner),
        ]

    def _default(self, field: Any) -> str:
        if field.default_factory is not MISSING:
            return f"{self.bind('d', field.default_factory)}()"
        return self.bind("d", None if field.default is MISSING else field.default)


def _only_sets_fields(origin: Any) -> bool:
    """Whether its constructor is the one that dataclasses write, which takes three times as long as setting the fields.

    They write it as text, and a hook of the class would be called by it.
    """
    written = getattr(origin.__init__, "__code__", None)
    return (
        written is not None
        and written.co_filename == "<string>"
        and not hasattr(origin, "__post_init__")
        and origin.__new__ is object.__new__
        and all(field.init for field in fields(origin))
    )
