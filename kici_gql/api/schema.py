"""The schema, put together."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from kici_gql.api.mutations import Mutation
from kici_gql.api.query import Query
from kici_gql.api.scalars import SCALARS
from kici_gql.api.streams.subscription import Subscription
from kici_gql.api.types.triggers import TRIGGERS


def _build(*, sort: bool) -> strawberry.Schema:
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=TRIGGERS,
        config=StrawberryConfig(scalar_map=SCALARS, sort_schema=sort, disable_field_suggestions=True),
    )


# Not sorted: sorting rebuilds the types as graphql-core's own, which don't know Strawberry's enums and unions.
schema = _build(sort=False)


def sdl() -> str:
    """The schema as text, sorted: what `schema.graphql` holds."""
    return _build(sort=True).as_str().rstrip() + "\n"
