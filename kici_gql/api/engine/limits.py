"""What one GraphQL operation may ask for, measured in time linear in the size of its document.

Strawberry's own limiters expand a fragment again at every spread, which is exponential: 700 bytes stop
a server for seconds. Here each fragment is measured once. The measuring comes before validation, because
two of the specification's rules (overlapping fields among them) are quadratic in what repeats.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

_OUT_OF_SIGHT = 10**9  # sums of nested fragments double at each level; nobody needs to know by how much


@dataclass(frozen=True, slots=True)
class Limits:
    """Most of each thing that one operation may have. Every refusal names the limit and the number."""

    max_depth: int = 15
    max_aliases: int = 50
    max_fields: int = 500
    max_root_fields: int = 20
    max_repeats: int = 16
    max_operations: int = 20
    max_tokens: int = 3000
    max_document_chars: int = 131_072
    max_values: int = 1_000_000
    query_seconds: float = 30.0


class _Size(NamedTuple):
    """`fields` counts spreads too, so that a chain of fragments is not free."""

    depth: int
    aliases: int
    fields: int
    root_fields: int


_NOTHING = _Size(0, 0, 0, 0)


class FragmentCycle(Exception):
    """A fragment that spreads itself: the document has no size."""


def over_limits(document: DocumentNode, limits: Limits) -> list[str]:
    """Say what the document has too much of; raises FragmentCycle. Unknown fragments are left to validation."""
    operations = sum(isinstance(node, OperationDefinitionNode) for node in document.definitions)
    if operations > limits.max_operations:
        return [_refusal("operations in one document", operations, "max_operations", limits.max_operations)]
    try:
        return _Measure(document, limits).refusals()
    except RecursionError:
        return [f"The operation nests far deeper than max_depth={limits.max_depth} allows."]


def _refusal(what: str, found: int, name: str, limit: int) -> str:
    number = str(found) if found < _OUT_OF_SIGHT else "far too many"
    return f"Too many {what}: {number}, the limit is {name}={limit}."


class _Measure:
    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self._limits = limits
        self._definitions = [
            node for node in document.definitions if isinstance(node, ExecutableDefinitionNode)
        ]
        self._fragments = {
            node.name.value: node for node in self._definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._memo: dict[str, _Size | None] = {}

    def refusals(self) -> list[str]:
        """Sizes first: the second look walks the expanded document, whose size is known to be small by then."""
        sizes = [self._size(definition.selection_set) for definition in self._definitions]
        largest = _Size(*(max((size[i] for size in sizes), default=0) for i in range(4)))
        limits = self._limits
        found = (
            ("levels of nesting", largest.depth, "max_depth", limits.max_depth),
            ("aliases", largest.aliases, "max_aliases", limits.max_aliases),
            ("fields", largest.fields, "max_fields", limits.max_fields),
            ("root fields", self._root_fields(sizes), "max_root_fields", limits.max_root_fields),
        )
        refusals = [_refusal(*row) for row in found if row[1] > row[3]]
        return refusals or self._repeats()

    def _root_fields(self, sizes: list[_Size]) -> int:
        rows = zip(self._definitions, sizes, strict=True)
        return max(
            (size.root_fields for node, size in rows if isinstance(node, OperationDefinitionNode)), default=0
        )

    def _size(self, selection_set: SelectionSetNode | None) -> _Size:
        depth = aliases = fields = root_fields = 0
        for node in selection_set.selections if selection_set else ():
            inner = self._selection(node)
            depth = max(depth, inner.depth)
            aliases = min(_OUT_OF_SIGHT, aliases + inner.aliases)
            fields = min(_OUT_OF_SIGHT, fields + inner.fields)
            root_fields = min(_OUT_OF_SIGHT, root_fields + inner.root_fields)
        return _Size(depth, aliases, fields, root_fields)

    def _selection(self, node: SelectionNode) -> _Size:
        if isinstance(node, FieldNode):
            inner = self._size(node.selection_set)
            # Introspection has a depth rule of its own in graphql-core, and its standard query is deep.
            depth = 1 if node.name.value.startswith("__") else inner.depth + 1
            return _Size(depth, inner.aliases + (node.alias is not None), inner.fields + 1, 1)
        if isinstance(node, FragmentSpreadNode):
            inner = self._fragment(node.name.value)
            return inner._replace(fields=inner.fields + 1)
        if isinstance(node, InlineFragmentNode):
            inner = self._size(node.selection_set)
            return inner._replace(fields=inner.fields + 1)
        return _NOTHING

    def _fragment(self, name: str) -> _Size:
        if name in self._memo:
            size = self._memo[name]
            if size is None:  # still being measured, further up
                raise FragmentCycle(f"Cannot spread fragment '{name}' within itself.")
            return size
        self._memo[name] = None
        definition = self._fragments.get(name)
        size = self._memo[name] = self._size(definition.selection_set) if definition else _NOTHING
        return size

    def _repeats(self) -> list[str]:
        """One response name selected many times at one place makes validation compare all pairs."""
        for definition in self._definitions:
            places = [[definition.selection_set]]
            while places:
                merged: dict[str, list[FieldNode]] = {}
                for field in self._fields(places.pop()):
                    merged.setdefault((field.alias or field.name).value, []).append(field)
                for name, nodes in merged.items():
                    if len(nodes) > self._limits.max_repeats:
                        what = f"selections of '{name}' at one place"
                        return [_refusal(what, len(nodes), "max_repeats", self._limits.max_repeats)]
                    if inner := [node.selection_set for node in nodes if node.selection_set]:
                        places.append(inner)
        return []

    def _fields(self, place: list[SelectionSetNode]) -> Iterator[FieldNode]:
        """All fields that land at one place of the answer."""
        pending = list(place)
        while pending:
            for node in pending.pop().selections:
                if isinstance(node, FieldNode):
                    yield node
                elif isinstance(node, InlineFragmentNode):
                    pending.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and node.name.value in self._fragments:
                    pending.append(self._fragments[node.name.value].selection_set)
