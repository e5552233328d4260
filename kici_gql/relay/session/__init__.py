"""The protocol without I/O: `Session` takes frames and the time, and answers with effects."""

from kici_gql.relay.session.session import Session

__all__ = ["Session"]
