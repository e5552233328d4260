"""Documents, parsed and validated once per text, and what is known about each of their operations."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    specified_rules,
    validate,
    visit,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from kici_gql.api.engine import faults
from kici_gql.api.engine.compiled.cache import Compilations, Room
from kici_gql.api.engine.faults import FormattedError, RequestRefused
from kici_gql.api.engine.limits import FragmentCycle, Limits, over_limits
from kici_gql.errors import ErrorCode

_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
_MAX_REPORTED = 20  # errors per document


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a document.

    `shape` prints what is selected below the root field and `shape_variables` names the variables used
    there: two subscriptions that agree on both turn the same frame into the same bytes, whatever their
    arguments, names, comments and white space are.
    """

    kind: OperationType
    name: str | None
    shape: str = ""
    shape_variables: tuple[str, ...] = ()
    compilations: Compilations = field(default_factory=lambda: Compilations((), Room()))


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    node: DocumentNode
    operations: Mapping[str | None, Operation]

    def operation(self, name: str | None) -> Operation:
        """The operation to run; raises RequestRefused when the name is unknown or missing."""
        if name is not None:
            if name in self.operations:
                return self.operations[name]
            raise RequestRefused(
                [faults.problem(f"Unknown operation named '{name}'.", faults.UNKNOWN_OPERATION)]
            )
        if len(self.operations) == 1:
            return next(iter(self.operations.values()))
        message = (
            "Must provide operation name if query contains multiple operations."
            if self.operations
            else "Must provide an operation."
        )
        raise RequestRefused([faults.problem(message, faults.UNKNOWN_OPERATION)])


class Documents:
    """A bounded cache: text -> document, or the errors it has. Least recently used texts go first."""

    def __init__(
        self, schema: GraphQLSchema, limits: Limits, *, max_documents: int = 500, max_bytes: int = 1_048_576
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._max_documents = max_documents
        self._max_bytes = max_bytes
        self._known: OrderedDict[str, Document | list[FormattedError]] = OrderedDict()
        self._bytes = 0
        self._room = Room()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, text: str) -> Document:
        """Parse and validate, or remember; raises RequestRefused."""
        found = self._known.get(text)
        if found is None:
            found = self._read(text)
            self._remember(text, found)
        else:
            self._known.move_to_end(text)
        if isinstance(found, Document):
            return found
        raise RequestRefused(found)

    def _remember(self, text: str, found: Document | list[FormattedError]) -> None:
        self._known[text] = found
        self._bytes += len(text)
        while len(self._known) > self._max_documents or self._bytes > self._max_bytes:
            oldest, _ = self._known.popitem(last=False)
            self._bytes -= len(oldest)

    def _read(self, text: str) -> Document | list[FormattedError]:
        try:
            node = parse(
                text,
                max_lexical_tokens=self._limits.max_tokens,
                max_source_length=self._limits.max_document_chars,
            )
            refusals = over_limits(node, self._limits)
        except GraphQLError as error:
            return [_parse_error(error, self._limits)]
        except RecursionError:
            return [_too_much("The document nests too deeply to be parsed.")]
        except FragmentCycle as cycle:
            return [faults.problem(str(cycle), faults.VALIDATION_FAILED)]
        if refusals:
            return [_too_much(refusal) for refusal in refusals]
        errors = validate(self._schema, node, _RULES, max_errors=_MAX_REPORTED, hide_suggestions=True)
        if errors:
            return [faults.from_graphql(error, faults.VALIDATION_FAILED) for error in errors]
        return Document(node, _operations(node, self._room))


def _too_much(message: str) -> FormattedError:
    return faults.problem(message, ErrorCode.LIMIT_EXCEEDED, retryable=False)


def _parse_error(error: GraphQLError, limits: Limits) -> FormattedError:
    if "nested too deeply" in error.message:
        return _too_much("The document nests too deeply to be parsed.")
    if error.message.endswith(
        "Parsing aborted."
    ):  # what graphql-core says when one of its own limits is reached
        reason = error.message.removeprefix("Syntax Error: ").removesuffix(" Parsing aborted.")
        numbers = f"max_tokens={limits.max_tokens}, max_document_chars={limits.max_document_chars}"
        return _too_much(f"{reason} The limits are {numbers}.")
    return faults.from_graphql(error, faults.PARSE_FAILED)


def _operations(document: DocumentNode, room: Room) -> dict[str | None, Operation]:
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    operations: dict[str | None, Operation] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            name = node.name.value if node.name else None
            shape = _shape(node, fragments) if node.operation is OperationType.SUBSCRIPTION else ("", ())
            compilations = Compilations(_directive_variables(document), room)
            operations[name] = Operation(node.operation, name, *shape, compilations)
    return operations


def _directive_variables(document: DocumentNode) -> tuple[str, ...]:
    """Variables that decide what is selected at all."""
    names: set[str] = set()
    visit(document, _DirectiveVariables(names))
    return tuple(sorted(names))


def _shape(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, tuple[str, ...]]:
    """Print all that decides how a frame is rendered: the operation without the root field's arguments."""
    parts: list[Node] = [_without_arguments(operation.selection_set, fragments)]
    seen: set[str] = set()
    for part in parts:  # grows while it is walked
        for name in _spreads(part):
            if name in fragments and name not in seen:
                seen.add(name)
                parts.append(fragments[name])
    names: set[str] = set()
    for part in parts:
        visit(part, _VariableNames(names))
    return "\n".join(print_ast(part) for part in parts), tuple(sorted(names))


def _without_arguments(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> SelectionSetNode:
    """Root fields without their arguments, fragments around them dissolved into inline ones."""
    selections: list[FieldNode | InlineFragmentNode] = []
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            selections.append(
                FieldNode(name=node.name, alias=node.alias, arguments=(), directives=node.directives,
                          selection_set=node.selection_set)
            )  # fmt: skip
            continue
        if isinstance(node, FragmentSpreadNode):
            inner = fragments[node.name.value].selection_set
        elif isinstance(node, InlineFragmentNode):
            inner = node.selection_set
        else:
            continue
        selections.append(
            InlineFragmentNode(directives=node.directives, selection_set=_without_arguments(inner, fragments))
        )
    return SelectionSetNode(selections=tuple(selections))


def _spreads(node: Node) -> Iterator[str]:
    names: list[str] = []
    visit(node, _SpreadNames(names))
    return iter(names)


class _SpreadNames(Visitor):
    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names = names

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self._names.append(node.name.value)


class _VariableNames(Visitor):
    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self._names.add(node.name.value)


class _DirectiveVariables(Visitor):
    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        visit(node, _VariableNames(self._names))
