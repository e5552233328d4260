import logging

import pytest
import websockets

from kici_gql.api.transport import sockets
from kici_gql.cli.logs import logging_config
from tests.api.transport.serving import serving


async def test_a_socket_leaves_lines_only_with_a_logger_that_is_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        async with (
            serving() as server,
            websockets.connect(
                server.ws, proxy=None, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]
            ),
        ):
            pass
    said = {record.name for record in caplog.records if "connection open" in record.message}
    assert said == {sockets.__name__}
    assert logging_config("info", "text")["loggers"][sockets.__name__]["level"] == "WARNING"


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "WARNING"), ("warning", "WARNING"), ("error", "ERROR")]
)
def test_nobody_is_louder_than_asked(level: str, shown: str) -> None:
    assert logging_config(level, "json")["loggers"][sockets.__name__]["level"] == shown
