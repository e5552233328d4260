"""Waiting for several things at once."""

import asyncio
from collections.abc import Coroutine


async def all_until_one_ends(*works: Coroutine[object, object, object]) -> None:
    """Do all of them until one returns or raises, which is passed on; the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def first_of(*waits: Coroutine[object, object, object]) -> None:
    """Return when the first of them has; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
