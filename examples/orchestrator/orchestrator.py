"""The orchestrator itself: keeps its place in the fleet while the server, the network and its agents come and go."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.administration import Administration
from orchestrator.backoff import Backoff
from orchestrator.book import Book
from orchestrator.client import Connection, Link, LinkDown, Refused, open_link
from orchestrator.clockwork import Clockwork
from orchestrator.commands import Commands
from orchestrator.dispatcher import Dispatcher, TooManyRuns
from orchestrator.execution import Order
from orchestrator.machine import describe_host, host_figures, runtime_versions
from orchestrator.outbox import Outbox
from orchestrator.registry import Registry, Telling
from orchestrator.reports import Input, Work, agent_inputs, exit_alerts, heartbeat, introduction
from orchestrator.scaler import BareMetalScaler
from orchestrator.state import StateDirectory
from orchestrator.waiting import all_until_one_ends, first_of

log = logging.getLogger(__name__)

HELLO_SECONDS = 5.0
"""How long the first connect waits for the agents to introduce themselves; latecomers are reported afterwards."""

GOODBYE_SECONDS = 2.0
"""How long the end may be held up by a server that doesn't answer."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where the server is and how to appear there. ``interval_seconds`` overrules the server's heartbeat interval."""

    url: str
    token: str
    cluster_name: str | None = None
    instance_id: str | None = None
    interval_seconds: float | None = None


class Orchestrator:
    """Connects, sends heartbeats, reports what changes about its agents, says goodbye.

    ``stop()`` ends ``run`` in good order. The connection id outlives a broken WebSocket and a restart of the server;
    only when the server doesn't know it any more is a new one asked for.
    """

    def __init__(
        self,
        config: Config,
        scaler: BareMetalScaler,
        state: StateDirectory,
        workflows: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        settings: Path | None = None,
    ) -> None:
        self.config = config
        self.scaler = scaler
        self.state = state
        self.clock = clock
        self.book = Book(state.book)
        self.registry = Registry(workflows, self.book)
        self.outbox = Outbox()
        self.dispatcher = Dispatcher(scaler, self.book, self.outbox, clock)
        self.clockwork = Clockwork(self.registry, self.dispatcher, clock, on_change=scaler.news.set)
        self.administration = Administration(settings, state.letters, self._retry, on_change=scaler.news.set)
        self.commands = Commands(
            self.book,
            self.registry,
            self.dispatcher,
            self.outbox,
            self.administration,
            on_change=scaler.news.set,
            on_rename=self._rename,
        )
        self.connection: Connection | None = None
        self.interval_seconds = config.interval_seconds or 30.0
        self._stopping = asyncio.Event()
        self._stop_reason = "stopped"
        self._attempt: Input | None = None
        self._announced: dict[str, Input] = {}
        self._told = Telling()
        self._told_settings: Input | None = None
        self._renamed = False
        self._reported_dead: dict[str, str] = {}
        self._next_beat_at = 0.0
        self._last_beat_at = 0.0
        self._backoff = Backoff(first_seconds=0.25, most_seconds=15.0)
        self._down_since: float | None = None

    def stop(self, reason: str) -> None:
        """Ask ``run`` to come to its end; ``reason`` is what the server is told."""
        self._stop_reason = reason
        self._stopping.set()

    async def run(self) -> None:
        """Work until ``stop()``.

        Raises TokenRefused, or Refused when the server won't have us as we are; StateError, BadDefinition, BadSettings or
        OSError when our files can't be used.
        """
        self.book.load()
        self.registry.load()
        self.administration.load()
        self.dispatcher.recall(self.registry.workflows)
        # An orchestrator without its scaler would report a fleet that nobody looks after.
        duties = {
            asyncio.create_task(duty, name=name)
            for name, duty in {
                "scaler": self.scaler.run(),
                "clock": self.clockwork.run(),
                "administration": self.administration.run(),
            }.items()
        }
        for duty in duties:
            duty.add_done_callback(lambda duty: self.stop(f"its {duty.get_name()} failed"))
        try:
            await self._wait_for_hellos()
            while not self._stopping.is_set():
                await self._serve_once()
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.wait(duties)
            await self.commands.close()
            await self.dispatcher.close()
            await asyncio.gather(self._say_goodbye_late(), self.scaler.close())
        for duty in duties:
            with suppress(asyncio.CancelledError):
                await duty

    async def _serve_once(self) -> None:
        try:
            async with open_link(self.config.url, self.config.token) as link:
                await self._work(link)
                await self._end_jobs(link)
                await self._say_goodbye(link)
        except LinkDown as down:
            self._note_down(down)
            await self._sleep(self._backoff.next_seconds())
        except Refused as refused:
            if not refused.retryable:
                raise
            log.warning("the server says: %s; trying again", refused)
            await self._sleep(self._backoff.next_seconds())

    async def _work(self, link: Link) -> None:
        """Report, beat and do what we are asked until we are stopped. Raises LinkDown when the link breaks."""
        while not self._stopping.is_set():
            connection = self.connection or await self._connect(link)
            try:
                # First what there is: whoever asks for something must have been told of it.
                await self._report_workflows(link, connection)
                await self._report_settings(link, connection)
                await all_until_one_ends(
                    self._keep_reporting(link, connection),
                    self.outbox.deliver(link, connection.id),
                    self.commands.follow(link, connection.id),
                )
            except Refused as refused:
                if refused.code != "UNKNOWN_CONNECTION":
                    raise
                log.info("the server doesn't know our connection any more; connecting again")
                self.connection = None

    async def _keep_reporting(self, link: Link, connection: Connection) -> None:
        while not self._stopping.is_set():
            if self._renamed:
                await self.outbox.emptied()
                self._renamed = False
                self.connection = None
                return
            try:
                await self._report(link, connection)
            except Refused as refused:
                if refused.code in {"UNKNOWN_CONNECTION", "FORBIDDEN"}:
                    raise
                # One report that the server won't have is no reason to leave; the next may be fine.
                log.error("the server refused a report: %s", refused)
                await self._sleep(self.interval_seconds)
            await self._wait_for_something(link)

    async def _report(self, link: Link, connection: Connection) -> None:
        await self._report_agents(link, connection)
        await self._report_exits(link, connection)
        await self._report_workflows(link, connection)
        await self._report_settings(link, connection)
        if time.monotonic() >= self._next_beat_at:
            await self._beat(link, connection)

    async def _report_workflows(self, link: Link, connection: Connection) -> None:
        """Tell the server of workflows that are new, changed or gone."""
        news = self._told.news(self.registry)
        if news is None:
            return
        told = self.registry.inputs()
        try:
            await link.report_workflows({"connectionId": connection.id, **news})
        except Refused as refused:
            if refused.retryable or refused.code in {"UNKNOWN_CONNECTION", "FORBIDDEN"}:
                raise
            log.error("the server refused the workflows: %s", refused)
        self._told.told(self.registry, told)

    async def _report_settings(self, link: Link, connection: Connection) -> None:
        """Tell the server of the cluster's own settings when they are not what it was told."""
        settings = self.administration.report()
        if settings != self._told_settings:
            self._told_settings = settings
            try:
                await link.report_settings({"connectionId": connection.id, **settings})
            except Refused as refused:
                if refused.retryable or refused.code in {"UNKNOWN_CONNECTION", "FORBIDDEN"}:
                    raise
                log.error("the server refused the settings: %s", refused)

    def _retry(self, name: str) -> str | None:
        """Start the workflow that a dead letter is for. Answers what went wrong."""
        workflow = self.registry.workflows.get(name)
        if workflow is None:
            return f"no workflow {name!r} is registered here"
        order = Order(str(uuid.uuid4()), workflow.values({}), "kici_event", "dead letter")
        try:
            self.dispatcher.start(workflow, order)
        except TooManyRuns as error:
            return str(error)
        return None

    def _rename(self, name: str) -> None:
        """Come back under this name as soon as the command is answered."""
        self.state.save(replace(self.state.load(), cluster_name=name))
        self._renamed = True

    async def _end_jobs(self, link: Link) -> None:
        """Cancel what runs while somebody hears of it."""
        if self.connection is not None:
            with suppress(Refused):
                await all_until_one_ends(
                    self.dispatcher.close(), self.outbox.deliver(link, self.connection.id)
                )

    async def _connect(self, link: Link) -> Connection:
        # A lost answer is asked for again with the same key and the same words, so that it can't connect us twice.
        if self._attempt is None:
            self._attempt = self._introduction()
        attempt = self._attempt
        try:
            connection = await link.connect(attempt)
        except Refused:
            self._attempt = None
            raise
        self._attempt = None
        self.connection = connection
        self._announced = {agent["agentId"]: agent for agent in attempt["agents"]}
        # An earlier life of ours may have left alerts open: whoever lives is reported once.
        self._reported_dead = dict.fromkeys(self._announced, "runs")
        self._next_beat_at = 0.0
        self._told = Telling()
        self._told_settings = None
        self.commands.forget_place()
        self.outbox.remind(self.dispatcher.unfinished())
        self._note_up()
        self._remember_cluster(connection)
        if connection.pending_name is not None:
            self._rename(connection.pending_name)  # somebody renamed it while we were away
        await self._adopt_interval(connection.heartbeat_interval_seconds)
        log.info(
            "connected to cluster %s as %s, a heartbeat every %g s",
            connection.cluster_name, attempt["instanceId"], self.interval_seconds,
        )  # fmt: skip
        return connection

    async def _beat(self, link: Link, connection: Connection) -> None:
        started = time.monotonic()
        # Only who has beaten since the last heartbeat, and after a long outage only who has lately.
        beats = self.scaler.beats_since(max(self._last_beat_at, started - self.interval_seconds))
        known = {agent_id: beat for agent_id, beat in beats.items() if agent_id in self._announced}
        work = Work(self.dispatcher.running_jobs, self.dispatcher.queued_jobs, self.registry.version)
        figures = heartbeat(connection.id, datetime.now(UTC), host_figures(), work, known)
        heard = await link.heartbeat(figures)
        await self._adopt_interval(heard.heartbeat_interval_seconds)
        for agent_id in heard.unknown_agents:
            self._announced.pop(agent_id, None)
        self._last_beat_at = started
        self._next_beat_at = started + self.interval_seconds
        self._note_up()

    async def _report_agents(self, link: Link, connection: Connection) -> None:
        """Tell the server of agents that are new or describe themselves differently than before."""
        present = agent_inputs(self.scaler)
        changed = {
            agent_id: agent for agent_id, agent in present.items() if self._announced.get(agent_id) != agent
        }
        if changed:
            inventory = {"connectionId": connection.id, "full": False, "agents": list(changed.values())}
            await link.report_inventory(inventory)
            self._announced.update(changed)

    async def _report_exits(self, link: Link, connection: Connection) -> None:
        """An alert for each agent whose process has ended, resolved when it is replaced."""
        dead = self.scaler.dead()
        if alerts := exit_alerts(dead, self._reported_dead):
            await link.report_alerts({"connectionId": connection.id, "alerts": alerts})
        self._reported_dead = dead

    async def _say_goodbye(self, link: Link) -> None:
        if self.connection is None:
            return
        with suppress(Refused, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await all_until_one_ends(self.outbox.emptied(), self.outbox.deliver(link, self.connection.id))
        with suppress(Refused, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await link.disconnect({"connectionId": self.connection.id, "reason": self._stop_reason})
                log.info("said goodbye to cluster %s", self.connection.cluster_name)
        self.connection = None

    async def _say_goodbye_late(self) -> None:
        """The goodbye of one that was stopped while the connection was down: one quick try."""
        if self.connection is None or not self._stopping.is_set():
            return
        with suppress(Exception):
            async with (
                asyncio.timeout(2 * GOODBYE_SECONDS),
                open_link(self.config.url, self.config.token) as link,
            ):
                await self._say_goodbye(link)

    def _introduction(self) -> Input:
        # The state is read anew each time: `kici-gql cluster-name set` may have written to it.
        state = self.state.load()
        names = {
            "clusterName": state.cluster_name or self.config.cluster_name,
            "clusterKey": state.cluster_id,
            "instanceId": self.config.instance_id or state.instance_id,
            "registryVersion": self.registry.version,
        }
        return introduction(describe_host(), self.scaler, runtime_versions(), names, str(uuid.uuid4()))

    def _remember_cluster(self, connection: Connection) -> None:
        before = self.state.load()
        state = replace(before, cluster_name=connection.cluster_name, cluster_id=connection.cluster_id)
        if state != before:
            self.state.save(state)

    async def _adopt_interval(self, seconds: float) -> None:
        self.interval_seconds = self.config.interval_seconds or seconds
        # Twice as often as we do, so that no heartbeat of ours falls between two of theirs.
        await self.scaler.set_pace(self.interval_seconds / 2)

    async def _wait_for_hellos(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(HELLO_SECONDS):
                while (
                    len(self.scaler.introduced()) < len(self.scaler.agent_ids) and not self._stopping.is_set()
                ):
                    self.scaler.news.clear()
                    await first_of(self.scaler.news.wait(), self._stopping.wait())

    async def _wait_for_something(self, link: Link) -> None:
        """Until the next heartbeat is due, an agent has news, the link is down or we are stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._next_beat_at - time.monotonic())):
                await first_of(self.scaler.news.wait(), self._stopping.wait(), link.wait_down())
        link.check()
        self.scaler.news.clear()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _note_down(self, down: LinkDown) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
            log.warning(
                "the server at %s is out of reach, trying again until it is back: %s", self.config.url, down
            )

    def _note_up(self) -> None:
        if self._down_since is not None:
            log.info("the server is back after %.1f s", time.monotonic() - self._down_since)
        self._down_since = None
        self._backoff.reset()
