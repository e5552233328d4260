"""What the object types share."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import strawberry
from graphql import GraphQLResolveInfo

from kici_gql.rules.labels import LabelKind, kind_of
from kici_gql.tables import Prefix

# Types that stand further up the tree, named here so that imports between these modules point one way.
LaterCluster = Annotated["Cluster", strawberry.lazy("kici_gql.api.types.cluster")]  # type: ignore[name-defined]  # noqa: F821
LaterWorkflow = Annotated["Workflow", strawberry.lazy("kici_gql.api.types.workflow")]  # type: ignore[name-defined]  # noqa: F821


@strawberry.interface(description="Anything with a global id.")
class Node:
    PREFIX: ClassVar[Prefix]

    id: strawberry.ID = strawberry.field(description="Opaque global id, stable for the life of the object.")

    @classmethod
    def is_type_of(cls, value: Any, _info: GraphQLResolveInfo[Any]) -> bool:
        """Rows stand for themselves; the kind of an object is the first part of its id."""
        return str(value.id).startswith(f"{cls.PREFIX}_")


@strawberry.type(description="A label that jobs are matched by.")
class Label:
    name: str = strawberry.field(description="The label. At most 256 characters.")
    kind: LabelKind = strawberry.field(description="Who set it.")


@strawberry.type(description="One setting, without secrets.")
class ConfigEntry:
    key: str = strawberry.field(description="Name of the setting. At most 256 characters.")
    value: str = strawberry.field(description="Its value. At most 1024 characters.")


def labels_of(names: Sequence[str]) -> list[Label]:
    """The labels of these names, not to be changed: a fleet has few different sets of labels, each is made once."""
    return _labels_of(tuple(names))


@lru_cache(4096)
def _labels_of(names: tuple[str, ...]) -> list[Label]:
    return [Label(name=name, kind=kind_of(name)) for name in names]
