"""Servers on prepared databases, with the addresses that clients need."""

from tests.server import Server


class ServerProcess(Server):
    """A server on a database that holds the tokens of `tests.world`."""

    def __init__(self, database_url: str, admin: str, **settings: str) -> None:
        super().__init__(admin, database_url=database_url, **{"log_level": "warning", **settings})

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def relay(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"
