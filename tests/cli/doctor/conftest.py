"""One server for all that is asked of a doctor."""

from collections.abc import Iterator

import pytest

from tests.docs.server import Running, server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("doctor")) as started:
        yield started
