"""What orchestrators tell us: the shape of each report and the bounds its values must keep.

Shapes are protocols, so that GraphQL inputs and relay frames enter the same actions as they are.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import orjson

from kici_gql.errors import InvalidInput, LimitExceeded
from kici_gql.rules import names
from kici_gql.rules.secrets import looks_secret
from kici_gql.tables import AlertSeverity, OrchestratorRole, ScalerType

MAX_TEXT = 256
_UNFIT = frozenset(
    {"Cc", "Cs"}
)  # control characters and half characters; joiners belong to scripts and emoji
MAX_LABELS = 64
MAX_ROUTING_KEYS = 1000
MAX_CONFIG = 64
MAX_CONFIG_VALUE = 1024
MAX_MESSAGE = 2000
MAX_SCALERS = 200
MAX_AGENTS = 2000
MAX_ALERTS = 100
MAX_INT = 2**31 - 1
MAX_DEPTH = 64  # levels of a JSON value; JSON itself is written to 254, with all that is around it
MAX_CLOCK_SKEW = timedelta(days=1)


class Host(Protocol):
    hostname: str
    running_as: str
    platform: str
    arch: str
    cpu_count: int
    memory_total_mb: int


class ConfigEntry(Protocol):
    key: str
    value: str


class Scaler(Protocol):
    name: str
    type: ScalerType
    max_agents: int
    labels: list[str]
    hosts: list[str]

    @property
    def config_summary(self) -> Sequence[ConfigEntry]: ...


class Agent(Protocol):
    agent_id: str
    scaler: str | None
    version: str
    labels: list[str]
    max_concurrency: int

    @property
    def host(self) -> Host: ...


class Connect(Protocol):
    cluster_name: str | None
    cluster_key: str | None
    instance_id: str | None
    role: OrchestratorRole
    version: str
    mode: str
    routing_keys: list[str]
    capabilities: list[str]
    registry_version: str | None

    @property
    def host(self) -> Host: ...
    @property
    def scalers(self) -> Sequence[Scaler]: ...
    @property
    def agents(self) -> Sequence[Agent]: ...


class AgentBeat(Protocol):
    agent_id: str
    memory_used_mb: int
    uptime_seconds: int
    active_jobs: int
    paused: bool


class Heartbeat(Protocol):
    connection_id: str
    sent_at: datetime | None
    memory_used_mb: int
    uptime_seconds: int
    running_jobs: int
    queued_jobs: int
    registry_version: str | None

    @property
    def agents(self) -> Sequence[AgentBeat]: ...


class Inventory(Protocol):
    connection_id: str
    full: bool
    removed_scalers: list[str]
    removed_agents: list[str]

    @property
    def scalers(self) -> Sequence[Scaler]: ...
    @property
    def agents(self) -> Sequence[Agent]: ...


class ReportedAlert(Protocol):
    dedupe_key: str
    severity: AlertSeverity
    message: str
    resolved: bool


def check_text(value: str, path: Sequence[str | int], limit: int = MAX_TEXT, *, empty: bool = False) -> None:
    """Raises InvalidInput unless the text is present, printable and at most `limit` characters."""
    if not value and not empty:
        raise InvalidInput("a text is empty", hint=f"Send 1 to {limit} characters.", path=path)
    if len(value) > limit:
        raise InvalidInput(f"a text has {len(value)} characters", hint=f"Send at most {limit}.", path=path)
    if not value.isprintable() and any(unicodedata.category(c) in _UNFIT and c not in "\n\t" for c in value):
        raise InvalidInput("a text has control characters", hint="Leave out control characters.", path=path)
    if limit <= MAX_TEXT and looks_secret(value):  # longer texts are prose, in which secrets are blotted out
        raise InvalidInput(
            "a text looks like the value of a secret", hint="Send names, never values.", path=path
        )


def check_json(value: object, path: Sequence[str | int]) -> None:
    """Raises InvalidInput for what can be read but not written as JSON, also when it is part of an event or an answer."""
    try:
        written = _depth(value) <= MAX_DEPTH and orjson.dumps(value)
    except TypeError:
        written = False
    if not written:
        raise InvalidInput(
            "a value can't be kept as JSON",
            hint=f"Nest at most {MAX_DEPTH} levels, and keep integers within 64 bits.",
            path=path,
        )


def _depth(value: object) -> int:
    """Levels of lists and objects, as far as they are too many."""
    level, depth = [value], 0
    while depth <= MAX_DEPTH:
        parents = [each for each in level if isinstance(each, (dict, list)) and each]
        if not parents:
            break
        depth += 1
        level = [child for each in parents for child in (each.values() if isinstance(each, dict) else each)]
    return depth


def check_number(value: int, path: Sequence[str | int], least: int = 0) -> None:
    """Raises InvalidInput unless the number is in range."""
    if not least <= value <= MAX_INT:
        raise InvalidInput(f"{value} is out of range", hint=f"Send {least} to {MAX_INT}.", path=path)


def check_count(items: Sequence[object], path: str, limit: int) -> None:
    """Raises LimitExceeded when a list is longer than `limit`."""
    if len(items) > limit:
        raise LimitExceeded(
            f"{path} has {len(items)} items", hint=f"Send at most {limit} at once.", path=[path]
        )


def check_unique(values: Iterable[str], path: Sequence[str | int], field: str) -> None:
    """Raises InvalidInput, naming the second one, when a value occurs twice."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise InvalidInput(
                f"{field} {value[:80]!r} occurs twice", hint="Send each one once.", path=[*path, index, field]
            )
        seen.add(value)


def check_removals(report: Inventory) -> None:
    """Raises InvalidInput when a name is removed twice, or removed and reported at once."""
    for field, removed, reported in (
        ("removedScalers", report.removed_scalers, {each.name for each in report.scalers}),
        ("removedAgents", report.removed_agents, {each.agent_id for each in report.agents}),
    ):
        seen = set(reported)
        for index, name in enumerate(removed):
            if name in seen:
                raise InvalidInput(
                    f"{name[:80]!r} is removed twice, or reported and removed at once",
                    hint="Send each name once.",
                    path=[field, index],
                )
            seen.add(name)


def check_texts(values: Sequence[str], path: Sequence[str | int], limit: int) -> None:
    if len(values) > limit:
        raise LimitExceeded(f"a list has {len(values)} items", hint=f"Send at most {limit}.", path=path)
    for index, value in enumerate(values):
        check_text(value, [*path, index])


def check_host(host: Host, path: Sequence[str | int]) -> None:
    check_text(host.hostname, [*path, "hostname"])
    check_text(host.running_as, [*path, "runningAs"])
    check_text(host.platform, [*path, "platform"])
    check_text(host.arch, [*path, "arch"])
    check_number(host.cpu_count, [*path, "cpuCount"], least=1)
    check_number(host.memory_total_mb, [*path, "memoryTotalMb"])


def check_inventory(scalers: Sequence[Scaler], agents: Sequence[Agent]) -> None:
    """Raises InvalidInput or LimitExceeded when a scaler or an agent is malformed or named twice."""
    check_count(scalers, "scalers", MAX_SCALERS)
    check_count(agents, "agents", MAX_AGENTS)
    check_unique((scaler.name for scaler in scalers), ["scalers"], "name")
    check_unique((agent.agent_id for agent in agents), ["agents"], "agentId")
    for index, scaler in enumerate(scalers):
        _check_scaler(scaler, ["scalers", index])
    for index, agent in enumerate(agents):
        _check_agent(agent, ["agents", index])


def _check_scaler(scaler: Scaler, path: Sequence[str | int]) -> None:
    check_text(scaler.name, [*path, "name"])
    check_number(scaler.max_agents, [*path, "maxAgents"])
    check_texts(scaler.labels, [*path, "labels"], MAX_LABELS)
    check_texts(scaler.hosts, [*path, "hosts"], MAX_LABELS)
    if len(scaler.config_summary) > MAX_CONFIG:
        raise LimitExceeded(
            "too many config entries", hint=f"Send at most {MAX_CONFIG}.", path=[*path, "configSummary"]
        )
    check_unique((entry.key for entry in scaler.config_summary), [*path, "configSummary"], "key")
    for index, entry in enumerate(scaler.config_summary):
        check_text(entry.key, [*path, "configSummary", index, "key"])
        check_text(entry.value, [*path, "configSummary", index, "value"], MAX_CONFIG_VALUE, empty=True)


def _check_agent(agent: Agent, path: Sequence[str | int]) -> None:
    check_text(agent.agent_id, [*path, "agentId"])
    if agent.scaler is not None:
        check_text(agent.scaler, [*path, "scaler"])
    check_text(agent.version, [*path, "version"])
    check_host(agent.host, [*path, "host"])
    check_texts(agent.labels, [*path, "labels"], MAX_LABELS)
    check_number(agent.max_concurrency, [*path, "maxConcurrency"], least=1)


def check_connect(report: Connect) -> None:
    """Raises InvalidInput or LimitExceeded when anything in the report is malformed or out of bounds."""
    if report.cluster_name is not None:
        names.check_name(report.cluster_name, "clusterName")
    if report.instance_id is not None:
        check_text(report.instance_id, ["instanceId"])
    if report.cluster_key is not None:
        check_text(report.cluster_key, ["clusterKey"])
    if report.registry_version is not None:
        check_text(report.registry_version, ["registryVersion"])
    check_text(report.version, ["version"])
    check_text(report.mode, ["mode"])
    check_host(report.host, ["host"])
    check_texts(report.routing_keys, ["routingKeys"], MAX_ROUTING_KEYS)
    check_texts(report.capabilities, ["capabilities"], MAX_ROUTING_KEYS)
    check_inventory(report.scalers, report.agents)


def check_heartbeat(beat: Heartbeat, now: datetime) -> None:
    """Raises InvalidInput or LimitExceeded when a figure is out of bounds, an agent is named twice, or the clock is off."""
    check_number(beat.memory_used_mb, ["memoryUsedMb"])
    check_number(beat.uptime_seconds, ["uptimeSeconds"])
    check_number(beat.running_jobs, ["runningJobs"])
    check_number(beat.queued_jobs, ["queuedJobs"])
    if beat.registry_version is not None:
        check_text(beat.registry_version, ["registryVersion"])
    check_count(beat.agents, "agents", MAX_AGENTS)
    for index, agent in enumerate(beat.agents):
        if not (
            0 <= agent.memory_used_mb <= MAX_INT
            and 0 <= agent.uptime_seconds <= MAX_INT
            and 0 <= agent.active_jobs <= MAX_INT
        ):
            _check_agent_figures(agent, ["agents", index])
    if len({agent.agent_id for agent in beat.agents}) != len(beat.agents):
        check_unique((agent.agent_id for agent in beat.agents), ["agents"], "agentId")
    if beat.sent_at is not None and abs(now - beat.sent_at) > MAX_CLOCK_SKEW:
        raise InvalidInput(
            f"sentAt is more than a day away from the server's time {now.isoformat(timespec='seconds')}",
            hint="Set the clock of the orchestrator's host.",
            path=["sentAt"],
        )


def _check_agent_figures(agent: AgentBeat, path: Sequence[str | int]) -> None:
    check_number(agent.memory_used_mb, [*path, "memoryUsedMb"])
    check_number(agent.uptime_seconds, [*path, "uptimeSeconds"])
    check_number(agent.active_jobs, [*path, "activeJobs"])


def check_alerts(alerts: Sequence[ReportedAlert]) -> None:
    """Raises InvalidInput or LimitExceeded when an alert is malformed or its key occurs twice."""
    check_count(alerts, "alerts", MAX_ALERTS)
    check_unique((alert.dedupe_key for alert in alerts), ["alerts"], "dedupeKey")
    for index, alert in enumerate(alerts):
        check_text(alert.dedupe_key, ["alerts", index, "dedupeKey"])
        check_text(alert.message, ["alerts", index, "message"], MAX_MESSAGE)
