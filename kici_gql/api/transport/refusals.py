"""An HTTP request that is answered with a status and errors instead of a result."""

from collections.abc import Mapping, Sequence

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError


class HttpRefused(Exception):
    """The request gets this status, these errors and these headers."""

    def __init__(
        self, status: int, errors: Sequence[FormattedError], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.errors = errors
        self.headers = headers or {}


def refused(status: int, message: str, code: str = faults.BAD_REQUEST, **headers: str) -> HttpRefused:
    """Build a refusal with one error; `accept_post=…` becomes the header `accept-post`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRefused(status, [faults.problem(message, code)], named)
