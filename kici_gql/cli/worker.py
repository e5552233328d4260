"""`serve --workers N`: uvicorn's supervisor, with workers that end all streams politely like a single process does."""

import socket

from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn.supervisors import multiprocess

from kici_gql.cli.loading import without_collector


class Worker(multiprocess.Process):
    """One process. It is started afresh, so its settings come from the environment."""

    @property
    def server(self) -> Server:
        if self._server is None:
            with without_collector():
                from kici_gql.app import create_app
                from kici_gql.cli.server import server_for
                from kici_gql.settings import Settings

            settings = Settings()
            self._server = server_for(create_app(settings), settings)
        return self._server

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        assert self.server is not None  # made here, before the thread that answers for its health asks for it
        super().target(sockets)


def supervise(config: Config) -> None:
    """Run `config.workers` workers on one port until a signal; one that dies is replaced."""
    multiprocess.Process = Worker  # type: ignore[misc] # the supervisor makes its workers in four places, all by this name
    multiprocess.Multiprocess(config, [config.bind_socket()]).run()
