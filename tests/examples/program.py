"""Programs under test: real processes, watched by the lines that they print, and ended whatever happens."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

END_SECONDS = 50.0


class Program:
    """A running program and the lines that it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    def saw(self, *words: str) -> bool:
        """Whether some line has all these words in it."""
        return any(all(word in line for word in words) for line in self.lines)

    async def ended(self) -> int:
        """The exit status, when it ends within END_SECONDS."""
        return await asyncio.wait_for(self.process.wait(), END_SECONDS)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())


@asynccontextmanager
async def running(
    *command: str | Path, env: Mapping[str, str], stdin: int | None = None
) -> AsyncIterator[Program]:
    """Start a program with these variables set; at the end it is asked to end, and made to when it doesn't."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=_clean() | dict(env), stdin=stdin,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=2**20,
    )  # fmt: skip
    program = Program(process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await program.ended()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        finally:
            await asyncio.wait_for(reading, END_SECONDS)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}


def lives(process: psutil.Process) -> bool:
    """Whether the process still runs."""
    try:
        # In a container nobody may collect the exit status of an orphan.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
