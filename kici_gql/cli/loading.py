"""How a server's process begins."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector asleep meanwhile.

    Importing the server makes several hundred thousand objects that stay. To walk them again and again in search of
    garbage was a quarter of the time until it listens.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
