"""A query for everything, made from the schema itself, so that no field can be forgotten."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument

from kici_gql.api.schema import schema

TYPES: dict[str, Any] = schema._schema.type_map  # noqa: SLF001


class Walk:
    """One query for all that can be reached from a type: each type is opened once, and named wherever it comes again."""

    def __init__(self, root: str, given: Mapping[str, str]) -> None:
        """`given` holds the arguments of fields that need some, by `Type.field`."""
        self.given = given
        self.opened: set[str] = set()
        self.reached: set[str] = set()
        self.query = self._selection(TYPES[root])

    def _selection(self, type_: GraphQLObjectType) -> str:
        self.opened.add(type_.name)
        return " ".join(self._fields(type_))

    def _fields(self, type_: GraphQLObjectType) -> Iterator[str]:
        yield "__typename"
        # `cluster` comes last, so that clusters are opened in their own list and not in the first agent.
        for name, field in sorted(type_.fields.items(), key=lambda each: each[0] == "cluster"):
            path, inner = f"{type_.name}.{name}", get_named_type(field.type)
            needs_more = any(is_required_argument(each) for each in field.args.values())
            if (needs_more and path not in self.given) or name == "edges":
                continue
            self.reached.add(path)
            call = f"{name}({self.given[path]})" if path in self.given else name
            if is_leaf_type(inner):
                yield call
            elif isinstance(inner, GraphQLObjectType) and inner.name not in self.opened:
                yield f"{call} {{ {self._selection(inner)} }}"
            else:
                yield f"{call} {{ __typename }}"
