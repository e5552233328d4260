"""The application: the only place that wires things together."""

from kici_gql.app.create import create_app
from kici_gql.app.prepare import prepare

__all__ = ["create_app", "prepare"]
