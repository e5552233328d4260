"""The generated code of one operation of a cached document."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from graphql import VariableNode, Visitor, visit
from strawberry import Schema

from kici_gql.api.engine.compiled.inputs import Arguments, compiled_arguments
from kici_gql.api.engine.compiled.operation import Compiled, compiled_operation
from kici_gql.api.engine.compiled.running import NotCompilable, Unlike
from kici_gql.api.engine.executor import FrameExecutor

_MAX_VARIANTS = 8
_MAX_FAILURES = 20
_MAX_FIELDS = 50_000  # some 25 MB


class Hot(NamedTuple):
    """A mutation that needs graphql-core for nothing: its code, and its variables' way to its resolver.

    `fixed` are the arguments of all fields below the root: none of them is a variable.
    """

    compiled: Compiled
    arguments: Arguments
    fixed: Mapping[int, dict[str, Any]]


class Room:
    """What all generated code may take up, in fields: the code that was wanted least recently makes way for more."""

    def __init__(self, max_fields: int = _MAX_FIELDS) -> None:
        self._max_fields = max_fields
        self._kept: OrderedDict[tuple[Compilations, Hashable], int] = OrderedDict()
        self.fields = 0

    def use(self, owner: "Compilations", variant: Hashable) -> None:
        self._kept.move_to_end((owner, variant))

    def take(self, owner: "Compilations", variant: Hashable, fields: int) -> None:
        self._kept[owner, variant] = fields
        self.fields += fields
        while self.fields > self._max_fields and len(self._kept) > 1:
            (oldest, its_variant), freed = self._kept.popitem(last=False)
            self.fields -= freed
            oldest.forget(its_variant)


class Compilations:
    """One variant for each set of values that the variables of @skip and @include have had, up to a few."""

    def __init__(self, directive_variables: tuple[str, ...], room: Room) -> None:
        self._room = room
        self.hot: Hot | None = None
        self.keepable = False
        """Whether the last answer was one that may be kept."""
        self._directive_variables = directive_variables
        self._variants: dict[Hashable, Compiled | None] = {}
        self._seen = False
        self._failures = 0

    def get(self, schema: Schema, executor: FrameExecutor, *, at_once: bool = False) -> Compiled | None:
        """The code for this executor's operation and variables, or None where graphql-core has to do the work.

        It does so the first time, unless `at_once`: most documents that come once never come again. And it does so
        for good when the data was unlike the schema many times on end.
        """
        if self._failures > _MAX_FAILURES or not (self._seen or at_once):
            self._seen = True
            return None
        coerced = executor.variable_values.coerced
        # A variable of that name may be anything in another operation of the document, where no directive has it.
        key = tuple(coerced.get(name) is True for name in self._directive_variables)
        if key not in self._variants:
            if len(self._variants) == _MAX_VARIANTS:
                return None
            compiled = self._variants[key] = self._compiled(schema, executor)
            self._room.take(self, key, 1 if compiled is None else len(compiled.slots))
        else:
            self._room.use(self, key)
        return self._variants[key]

    def forget(self, variant: Hashable) -> None:
        """Drop this code. Who still wants it has it generated anew."""
        del self._variants[variant]
        self.hot = None

    def judge(self, *, like: bool) -> None:
        """Note whether the code could give the answer."""
        self._failures = 0 if like else self._failures + 1
        if self._failures > _MAX_FAILURES:
            self.hot = None

    def _compiled(self, schema: Schema, executor: FrameExecutor) -> Compiled | None:
        try:
            compiled = compiled_operation(schema, executor)
        except NotCompilable:
            return None
        if compiled.resolve is not None and not self._directive_variables:
            self._heat(schema, executor, compiled)
        return compiled

    def _heat(self, schema: Schema, executor: FrameExecutor, compiled: Compiled) -> None:
        if any(_has_variables(slot.node.arguments) for slot in compiled.slots[1:]):
            return
        with suppress(NotCompilable, Unlike):
            arguments = compiled_arguments(schema, executor.operation, compiled.slots[0])
            self.hot = Hot(compiled, arguments, compiled.arguments(executor.variable_values, first=1))


class _Variables(Visitor):
    found = False

    def enter_variable(self, _node: VariableNode, *_: object) -> None:
        self.found = True


def _has_variables(arguments: object) -> bool:
    visitor = _Variables()
    for argument in arguments or ():  # type: ignore[attr-defined]
        visit(argument, visitor)
    return visitor.found
