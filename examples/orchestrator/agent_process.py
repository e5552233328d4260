"""The orchestrator's end of one agent: an operating-system process and a socket to it."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from orchestrator.messages import (
    MAX_LINE_BYTES,
    BadMessage,
    Beat,
    Declined,
    ForAgent,
    FromAgent,
    Hello,
    decode_from_agent,
    encode,
)

log = logging.getLogger(__name__)

AGENT_PROGRAM = Path(__file__).parent.parent / "local_agent.py"


class Listener(Protocol):
    """Who wants to know what agents say of their jobs. Neither method may block."""

    def heard(self, agent: "AgentProcess", message: FromAgent) -> None:
        """The agent has said something that is neither ``hello`` nor ``beat`` nor ``declined``."""

    def ended(self, agent: "AgentProcess") -> None:
        """The agent's process has ended; its exit status is known."""


class AgentProcess:
    """One started agent, from its start to the moment it was buried.

    ``heard_at`` is the monotonic time of the last message of any kind (first: of the start), ``beat_at`` of the last beat.
    ``on_news`` is called when the agent has introduced itself and when its process has ended; it must not block.
    """

    def __init__(
        self,
        agent_id: str,
        max_concurrency: int,
        on_news: Callable[[], None],
        listener: Listener | None = None,
    ) -> None:
        self.agent_id = agent_id
        self.max_concurrency = max_concurrency
        self.on_news = on_news
        self.listener = listener
        self.hello: Hello | None = None
        self.last_beat: Beat | None = None
        self.beat_at = self.heard_at = time.monotonic()
        self.exit_status: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """True from the start of the process until its exit status is known."""
        return self._process is not None and self.exit_status is None

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process. Raises OSError when the system refuses to."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await self._spawn(theirs)
            reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE_BYTES)
        except BaseException:
            # Also when we are cancelled half-way: the closed channel ends whatever was started.
            ours.close()
            raise
        finally:
            theirs.close()
        self._watching = asyncio.create_task(self._watch(reader), name=f"agent {self.agent_id}")

    async def say(self, message: ForAgent) -> None:
        """Send one message. An agent that is gone or just going doesn't hear it, which is no error here."""
        if self._writer is None or not self.alive:
            return
        # One that stopped reading must not hold us up; the scaler will see that it has gone silent.
        with suppress(ConnectionError, TimeoutError):
            self._writer.write(encode(message))
            async with asyncio.timeout(1.0):
                await self._writer.drain()

    def post(self, message: ForAgent) -> None:
        """Send one message without waiting for it to go. Only for what comes in small numbers."""
        if self._writer is not None and self.alive:
            self._writer.write(encode(message))

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self.exit_status is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def end(self, grace_seconds: float) -> None:
        """Hang up, which tells the agent to end, and kill it when it hasn't done so after the grace period."""
        if self._process is None:
            return
        if self._writer is not None:
            self._writer.close()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        if self._watching is not None:
            await self._watching

    async def _spawn(self, channel: socket.socket) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(AGENT_PROGRAM),
            f"--agent-id={self.agent_id}",
            f"--max-concurrency={self.max_concurrency}",
            stdin=channel.fileno(),
            stdout=sys.stderr,
            env=_agent_environment(),
            # A session of its own: Ctrl-C in our terminal is for us, and we then end the agents in order.
            start_new_session=True,
        )

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        assert self._process is not None
        assert self._writer is not None
        try:
            await self._listen(reader)
        except (BadMessage, ValueError) as error:
            log.error("agent %s is cut off: it doesn't speak our protocol: %s", self.agent_id, error)
            self.kill()
        except ConnectionError:
            pass  # the same as an end: what matters is the exit status below
        self.exit_status = await self._process.wait()
        self._writer.close()
        if self.listener is not None:
            self.listener.ended(self)
        self.on_news()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        # readline() raises ValueError for a line beyond the limit.
        while line := await reader.readline():
            self._hear(decode_from_agent(line))

    def _hear(self, message: FromAgent) -> None:
        self.heard_at = now = time.monotonic()
        match message:
            case Hello():
                self.hello = message
                self.on_news()
            case Beat():
                self.last_beat, self.beat_at = message, now
            case Declined(message_type, reason):
                log.warning("agent %s declined %r: %s", self.agent_id, message_type, reason)
            case _ if self.listener is not None:
                self.listener.heard(self, message)


def describe_exit(status: int) -> str:
    """An exit status in words: a negative one is the signal that ended the process."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _agent_environment() -> dict[str, str]:
    # The server's token is the orchestrator's alone; what an agent runs must not find it.
    return {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
