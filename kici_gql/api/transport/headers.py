"""The headers of a request as a plain mapping."""

from collections.abc import Mapping

from starlette.types import Scope

Headers = Mapping[str, str]
"""By lower-case name."""


def headers_of(scope: Scope) -> Headers:
    """Decoded once for all who look something up; of a repeated header it is the first that counts."""
    return {
        name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(list(scope["headers"]))
    }
