"""What `kici-gql watch` shows: Org › Cluster › Orchestrator › Scaler › Agent, with ages and liveness."""

import re
import time
from collections.abc import Iterable
from contextlib import aclosing

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from kici_gql.cli.fleet import OPERATIONS, Fleet, Thing
from kici_gql.cli.live import Dropped, follow
from kici_gql.errors import Unavailable

_COLOURS = {"ONLINE": "green", "LATE": "yellow", "LOST": "bold red", "OFFLINE": "dim", "NEVER_SEEN": "cyan"}
_SEVERITY_COLOURS = {"CRITICAL": "bold red", "WARNING": "yellow", "INFO": "cyan"}
_ORDER = ["LOST", "LATE", "NEVER_SEEN", "ONLINE", "OFFLINE"]
_REDRAWS_PER_SECOND = 4
_MOST_ALERTS = 5
_FEWEST_AGENTS = 3  # shown of each scaler, however small the terminal


class View:
    """The fleet, the state of the stream, and how they look at one moment."""

    def __init__(self, org: str, url: str) -> None:
        self.org = org
        self.url = url
        self.fleet = Fleet()
        self.dropped: Dropped | None = None

    def render(self, now: float, height: int) -> RenderableType:
        """The whole picture at the monotonic time `now`, for a terminal of so many lines."""
        alerts = self._alerts(now)
        return Group(self._stream(now), *alerts, self._tree(now, height - 2 - len(alerts)))

    def _stream(self, now: float) -> Text:
        silent = self.fleet.silent_seconds(now)
        if self.dropped is not None:
            old = (
                "nothing was ever received" if silent is None else f"what you see is {_duration(silent)} old"
            )
            return _line(("■ no stream", "bold red"), f" from {self.url}: {self.dropped.reason}; {old}")
        if silent is None:
            return Text(f"… connecting to {self.url}", "yellow")
        return _line(("● live", "bold green"), f" from {self.url}, last frame {_duration(silent)} ago")

    def _alerts(self, now: float) -> list[Text]:
        alerts = self.fleet.open_alerts()
        lines = []
        for alert in alerts[:_MOST_ALERTS]:
            age = self.fleet.age_seconds(alert["openedAt"], now)
            taken = " (acknowledged)" if alert["state"] == "ACKNOWLEDGED" else ""
            since = "" if age is None else f", {_duration(age)} ago{taken}"
            lines.append(
                _line(
                    (f"▲ {alert['severity']}", _SEVERITY_COLOURS[alert["severity"]]),
                    f" {alert['message']}{since}",
                )
            )
        if more := len(alerts) - len(lines):
            lines.append(Text(f"▲ and {more} more alerts", "dim"))
        return lines

    def _tree(self, now: float, height: int) -> Tree:
        fleet = self.fleet
        root = Tree(Text(f"org {self.org}", "bold"), guide_style="dim")
        fixed = 1 + len(fleet.clusters) + len(fleet.orchestrators) + 2 * len(fleet.scalers)
        room = max(_FEWEST_AGENTS, (height - fixed) // max(1, len(fleet.scalers)))
        for cluster in _by_name(fleet.clusters.values(), "name"):
            orchestrators = _by_name(_of(fleet.orchestrators, "cluster", cluster), "displayId")
            branch = root.add(_cluster(cluster, orchestrators))
            for orchestrator in orchestrators:
                self._orchestrator(branch, orchestrator, now, room)
        if not fleet.clusters and fleet.server_time is not None:
            root.add(Text("no cluster yet: no orchestrator has ever connected", "dim"))
        return root

    def _orchestrator(self, branch: Tree, orchestrator: Thing, now: float, room: int) -> None:
        twig = branch.add(self._node("orchestrator", orchestrator["displayId"], orchestrator, now))
        for scaler in _by_name(_of(self.fleet.scalers, "orchestrator", orchestrator), "name"):
            self._agents(twig.add(_scaler(scaler)), _of(self.fleet.agents, "scaler", scaler), now, room)
        own = [
            each for each in _of(self.fleet.agents, "orchestrator", orchestrator) if each["scaler"] is None
        ]
        self._agents(twig, own, now, room)

    def _agents(self, branch: Tree, agents: list[Thing], now: float, room: int) -> None:
        # Whoever needs attention comes first, and is what a small terminal still shows.
        agents.sort(key=lambda each: (_ORDER.index(each["liveness"]["state"]), _natural(each["agentId"])))
        shown = agents if len(agents) <= room else agents[: max(_FEWEST_AGENTS, room - 1)]
        for agent in shown:
            branch.add(self._node("agent", agent["agentId"], agent, now))
        if hidden := agents[len(shown) :]:
            states = sorted({each["liveness"]["state"] for each in hidden}, key=_ORDER.index)
            branch.add(Text(f"and {len(hidden)} more, {' or '.join(states)}", "dim"))

    def _node(self, kind: str, name: str, thing: Thing, now: float) -> Text:
        state = thing["liveness"]["state"]
        age = self.fleet.age_seconds(thing["lastHeartbeatAt"], now)
        text = _line(
            (f"{kind} ", "dim"), (name, "bold"), " ", (state, _COLOURS[state]),
            " never heard" if age is None else f" {_duration(age)} ago",
        )  # fmt: skip
        if state not in {"ONLINE", "OFFLINE"}:
            text.append(f" ({thing['liveness']['reason']})", _COLOURS[state])
        facts = _agent_facts(thing) if kind == "agent" else _orchestrator_facts(thing)
        return text.append("  " + " · ".join(facts), "dim")


def _cluster(cluster: Thing, orchestrators: list[Thing]) -> Text:
    there = [each for each in orchestrators if each["connected"]]
    text = _line(("cluster ", "dim"), (cluster["name"], "bold"))
    if cluster["pendingName"]:
        text.append(f" → {cluster['pendingName']} at the next connect", "yellow")
    if not there:
        text.append(" disconnected", "red")
    elif len(orchestrators) > 1:
        text.append(f" {len(there)}/{len(orchestrators)} orchestrators")
    facts = ["name by the server"] * cluster["autoNamed"] + sorted({each["mode"] for each in there})
    return text.append("  " + " · ".join(facts), "dim")


def _scaler(scaler: Thing) -> Text:
    kind = scaler["type"].lower().replace("_", "-")
    labels = " ".join(label["name"] for label in scaler["labels"] if label["kind"] == "USER")
    return _line(
        ("scaler ", "dim"), (scaler["name"], "bold"), f" {scaler['activeAgents']}/{scaler['maxAgents']} agents",
        (f"  {' · '.join(filter(None, [kind, labels]))}", "dim"),
    )  # fmt: skip


def _orchestrator_facts(thing: Thing) -> list[str]:
    return [
        thing["role"].lower(),
        f"{thing['runningAs']}@{thing['hostname']}",
        f"{thing['platform']}/{thing['arch']}",
        f"{thing['cpuCount']} CPUs",
        *_memory(thing["memoryUsedMb"], thing["memoryTotalMb"]),
        *_uptime(thing["uptimeSeconds"]),
        f"{thing['runningJobs']} running, {thing['queuedJobs']} queued",
        thing["version"],
    ]


def _agent_facts(thing: Thing) -> list[str]:
    return [
        f"{thing['activeJobs']}/{thing['maxConcurrency']} jobs" + (", paused" if thing["paused"] else ""),
        f"{thing['runningAs']}@{thing['hostname']}",
        f"{thing['platform']}/{thing['arch']}",
        *_memory(thing["memoryUsedMb"], None),
        *_uptime(thing["uptimeSeconds"]),
        thing["version"],
    ]


def _memory(used_mb: int | None, total_mb: int | None) -> list[str]:
    if used_mb is None:
        return []
    return [f"{used_mb} MB"] if total_mb is None else [f"{used_mb / 1024:.1f}/{total_mb / 1024:.1f} GB"]


def _uptime(seconds: int | None) -> list[str]:
    return [] if seconds is None else [f"up {_duration(seconds)}"]


def _line(*parts: str | tuple[str, str]) -> Text:
    """One line, which a narrow terminal cuts off: a tree of wrapped lines is hard to read."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _duration(seconds: float) -> str:
    """A length of time in one unit, as one reads it at a glance."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"


def _of(things: dict[str, Thing], parent: str, of: Thing) -> list[Thing]:
    return [each for each in things.values() if each[parent] is not None and each[parent]["id"] == of["id"]]


def _by_name(things: Iterable[Thing], name: str) -> list[Thing]:
    return sorted(things, key=lambda each: _natural(each[name]))


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts `agent-10` behind `agent-9`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


async def show(url: str, token: str, org: str, cluster: str | None, once: bool, console: Console) -> None:
    """Draw until cancelled; with `once`, or where nothing can be redrawn, only once, when the tree is complete.

    Raises KiciError when the server refuses, and Unavailable when it is not there to be asked once.
    """
    view = View(org, url)
    if once or not console.is_terminal:
        await _follow(view, token, cluster, once=True)
        console.print(view.render(time.monotonic(), height=1_000_000))
        return

    def draw() -> RenderableType:
        return view.render(time.monotonic(), console.size.height)

    with Live(get_renderable=draw, console=console, refresh_per_second=_REDRAWS_PER_SECOND, screen=True):
        await _follow(view, token, cluster, once=False)


async def _follow(view: View, token: str, cluster: str | None, once: bool) -> None:
    variables = {"org": view.org, "cluster": cluster}
    awaited = set(OPERATIONS)
    async with aclosing(follow(view.url, token, OPERATIONS, variables)) as news:
        async for item in news:
            if isinstance(item, Dropped):
                if once:
                    raise Unavailable(f"no stream from {view.url}: {item.reason}")
                view.dropped = item
                continue
            view.dropped = None
            view.fleet.apply(item.name, item.frame, time.monotonic())
            awaited.discard(item.name)
            if once and not awaited:
                return
