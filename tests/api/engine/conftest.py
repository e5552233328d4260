from collections.abc import Callable

import pytest

from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.operations import Operations
from tests.api.engine.toys import Context, Log, schema


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def operations(log: Log) -> Operations:
    return Operations(schema, lambda viewer, request_id: Context(viewer, request_id, log))


@pytest.fixture
def limited(log: Log) -> Callable[[Limits], Operations]:
    """An engine with limits of the test's own."""

    def build(limits: Limits) -> Operations:
        return Operations(schema, lambda viewer, request_id: Context(viewer, request_id, log), limits=limits)

    return build
