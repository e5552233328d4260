from tests.examples.conftest import server

__all__ = ["server"]
