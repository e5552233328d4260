"""The GraphQL outside view."""

from kici_gql.api import enums  # noqa: F401 - they are described before any type uses them
