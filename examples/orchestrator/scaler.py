"""The bare-metal scaler: keeps a number of agent processes running on this machine."""

import asyncio
import logging
import time

from orchestrator.agent import DEFAULT_INTERVAL_SECONDS
from orchestrator.agent_process import AgentProcess, Listener, describe_exit
from orchestrator.machine import describe_host
from orchestrator.messages import Beat, Hello, Pace

log = logging.getLogger(__name__)


class BareMetalScaler:
    """Runs ``len(agent_ids)`` agents, at most ``max_agents``.

    An agent from which nothing was heard for ``restart_after_seconds`` is replaced by a new process under the same id,
    whether its process is dead or merely silent. Until then it is left alone, so that whoever watches the server can see
    it become LATE and LOST. ``news`` is set whenever an agent has introduced itself or its process has ended.
    """

    def __init__(
        self,
        name: str,
        agent_ids: list[str],
        max_agents: int,
        restart_after_seconds: float,
        max_concurrency: int = 1,
    ) -> None:
        if len(agent_ids) > max_agents:
            raise ValueError(
                f"{len(agent_ids)} agents are more than the {max_agents} that scaler {name} may run"
            )
        self.name = name
        self.agent_ids = agent_ids
        self.max_agents = max_agents
        self.restart_after_seconds = restart_after_seconds
        self.max_concurrency = max_concurrency
        self.agents: dict[str, AgentProcess] = {}
        self.news = asyncio.Event()
        self.listener: Listener | None = None
        self._pace: Pace | None = None
        self._hellos: dict[str, Hello] = {}

    @property
    def labels(self) -> list[str]:
        """What a job may ask for to land here; those that start with ``kici:`` are given automatically."""
        host = describe_host()
        return [
            host.platform,
            "bare-metal",
            f"kici:os:{host.platform}",
            f"kici:arch:{host.arch}",
            "kici:agent:bare-metal",
            f"kici:scaler:{self.name}",
            f"kici:host:{host.hostname}",
        ]

    @property
    def active_agents(self) -> int:
        """Agents whose process lives."""
        return sum(agent.alive for agent in self.agents.values())

    def introduced(self) -> dict[str, Hello]:
        """The last introduction of every agent that ever made one, by agent id."""
        # The dead and the newly started ones answer with what was last said under their id.
        self._hellos.update({name: agent.hello for name, agent in self.agents.items() if agent.hello})
        return {name: self._hellos[name] for name in self.agent_ids if name in self._hellos}

    def beats_since(self, monotonic_time: float) -> dict[str, Beat]:
        """The last beat of every agent that beat after that time, by agent id."""
        return {
            name: agent.last_beat
            for name, agent in self.agents.items()
            if agent.last_beat is not None and agent.beat_at > monotonic_time
        }

    def ready(self) -> list[AgentProcess]:
        """The agents that can be given a job: introduced, alive, and heard lately."""
        patience = 2.0 + 3 * (self._pace.interval_seconds if self._pace else DEFAULT_INTERVAL_SECONDS)
        now = time.monotonic()
        return [
            agent
            for agent in self.agents.values()
            if agent.alive and agent.hello is not None and now - agent.heard_at < patience
        ]

    def dead(self) -> dict[str, str]:
        """How each agent whose process has ended met its end, by agent id, until it is replaced."""
        return {
            name: f"process {agent.pid} {describe_exit(agent.exit_status)}"
            for name, agent in self.agents.items()
            if agent.exit_status is not None
        }

    async def run(self) -> None:
        """Start the agents and keep them; runs until it is cancelled. ``close`` ends the agents."""
        while True:
            for agent_id in self.agent_ids:
                await self._look_after(agent_id)
            await asyncio.sleep(min(1.0, self.restart_after_seconds / 4))

    async def set_pace(self, interval_seconds: float) -> None:
        """Have all agents, and those that come later, beat at this interval."""
        if self._pace == Pace(interval_seconds):
            return
        self._pace = Pace(interval_seconds)
        await asyncio.gather(*(agent.say(self._pace) for agent in self.agents.values()))

    async def close(self, grace_seconds: float = 2.0) -> None:
        """End all agents; those that don't end by themselves within the grace period are killed."""
        await asyncio.gather(*(agent.end(grace_seconds) for agent in self.agents.values()))

    async def _look_after(self, agent_id: str) -> None:
        agent = self.agents.get(agent_id)
        if agent is not None:
            silent_seconds = time.monotonic() - agent.heard_at
            if silent_seconds < self.restart_after_seconds:
                return
            log.warning("agent %s was silent for %.1f s and is replaced", agent_id, silent_seconds)
            agent.kill()
            await agent.end(grace_seconds=2.0)
        await self._start(agent_id)

    async def _start(self, agent_id: str) -> None:
        self.introduced()  # keeps what the predecessor said of itself
        agent = self.agents[agent_id] = AgentProcess(
            agent_id, self.max_concurrency, self.news.set, self.listener
        )
        try:
            await agent.start()
        except OSError as error:
            # No memory or no process to be had is no reason to give up those that run; it is tried again later.
            log.error("agent %s can't be started: %s", agent_id, error)
            return
        log.info("agent %s runs as process %s", agent_id, agent.pid)
        if self._pace:
            await agent.say(self._pace)
