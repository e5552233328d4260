from tests.examples.conftest import eventually, server

__all__ = ["eventually", "server"]
