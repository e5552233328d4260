"""The bounds of what orchestrators may send: each one kept is accepted, one step beyond is refused with its path."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from kici_gql.api.mutations.inputs import AgentBeatInput, ConfigEntryInput, ReportedAlertInput
from kici_gql.errors import InvalidInput, KiciError, LimitExceeded
from kici_gql.rules import reports
from kici_gql.rules.reports import MAX_DEPTH, check_json
from kici_gql.tables import AlertSeverity
from tests.world import agent, beat_of, beating, connecting, host, scaler

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def beats(*names: str, **more: Any) -> list[AgentBeatInput]:
    return [beat_of(name, **more) for name in names]


def alert(key: str = "disk", **more: Any) -> ReportedAlertInput:
    return ReportedAlertInput(
        **{"dedupe_key": key, "severity": AlertSeverity.WARNING, "message": "full"} | more
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"instance_id": None, "cluster_name": None},
        {"version": "v" * reports.MAX_TEXT},
        {"routing_keys": ["k"] * reports.MAX_ROUTING_KEYS},
        {"scalers": [scaler(str(n)) for n in range(reports.MAX_SCALERS)]},
        {"scalers": [scaler(labels=["l"] * reports.MAX_LABELS, max_agents=0)]},
        {"scalers": [scaler(config_summary=[ConfigEntryInput(key="image", value="")])]},
        {"agents": [agent(str(n), None) for n in range(reports.MAX_AGENTS)]},
        {"host": host(memory_total_mb=0, cpu_count=1)},
        {"version": "ünïcode ✓"},
    ],
)
def test_good_connects(more: dict[str, Any]) -> None:
    reports.check_connect(connecting(**more))


@pytest.mark.parametrize(
    ("more", "kind", "path"),
    [
        ({"cluster_name": "No Good"}, InvalidInput, "clusterName"),
        ({"cluster_name": ""}, InvalidInput, "clusterName"),
        ({"instance_id": ""}, InvalidInput, "instanceId"),
        ({"instance_id": "x" * 257}, InvalidInput, "instanceId"),
        ({"version": "a\x00b"}, InvalidInput, "version"),
        ({"version": "a\x1b[31m"}, InvalidInput, "version"),
        ({"mode": ""}, InvalidInput, "mode"),
        ({"registry_version": ""}, InvalidInput, "registryVersion"),
        ({"host": host(cpu_count=0)}, InvalidInput, "host.cpuCount"),
        ({"host": host(cpu_count=-1)}, InvalidInput, "host.cpuCount"),
        ({"host": host(memory_total_mb=-1)}, InvalidInput, "host.memoryTotalMb"),
        ({"host": host(memory_total_mb=2**31)}, InvalidInput, "host.memoryTotalMb"),
        ({"host": host("h" * 1_000_000)}, InvalidInput, "host.hostname"),
        ({"routing_keys": ["k"] * 1001}, LimitExceeded, "routingKeys"),
        ({"routing_keys": ["k", ""]}, InvalidInput, "routingKeys.1"),
        ({"capabilities": ["k"] * 1001}, LimitExceeded, "capabilities"),
        ({"scalers": [scaler(str(n)) for n in range(201)]}, LimitExceeded, "scalers"),
        ({"scalers": [scaler("a"), scaler("b"), scaler("a")]}, InvalidInput, "scalers.2.name"),
        ({"scalers": [scaler(max_agents=-1)]}, InvalidInput, "scalers.0.maxAgents"),
        ({"scalers": [scaler(labels=["l"] * 65)]}, LimitExceeded, "scalers.0.labels"),
        ({"scalers": [scaler(hosts=["h"] * 65)]}, LimitExceeded, "scalers.0.hosts"),
        (
            {"scalers": [scaler(config_summary=[ConfigEntryInput(key="k", value="")] * 65)]},
            LimitExceeded,
            "scalers.0.configSummary",
        ),
        (
            {"scalers": [scaler(config_summary=[ConfigEntryInput(key="k", value="v" * 1025)])]},
            InvalidInput,
            "scalers.0.configSummary.0.value",
        ),
        ({"agents": [agent(str(n)) for n in range(2001)]}, LimitExceeded, "agents"),
        ({"agents": [agent("a"), agent("a")]}, InvalidInput, "agents.1.agentId"),
        ({"agents": [agent("")]}, InvalidInput, "agents.0.agentId"),
        ({"agents": [agent(scaler="")]}, InvalidInput, "agents.0.scaler"),
        ({"agents": [agent(max_concurrency=0)]}, InvalidInput, "agents.0.maxConcurrency"),
        ({"agents": [agent(host=host(arch=""))]}, InvalidInput, "agents.0.host.arch"),
    ],
)
def test_bad_connects(more: dict[str, Any], kind: type[KiciError], path: str) -> None:
    with pytest.raises(kind) as raised:
        reports.check_connect(connecting(**more))
    assert ".".join(raised.value.path or ()) == path
    assert raised.value.hint
    assert len(raised.value.message) < 300


@pytest.mark.parametrize(
    ("more", "kind", "path"),
    [
        ({"memory_used_mb": -1}, InvalidInput, "memoryUsedMb"),
        ({"uptime_seconds": -1}, InvalidInput, "uptimeSeconds"),
        ({"running_jobs": -1}, InvalidInput, "runningJobs"),
        ({"queued_jobs": 2**31}, InvalidInput, "queuedJobs"),
        ({"agents": beats("a", active_jobs=-1)}, InvalidInput, "agents.0.activeJobs"),
        ({"agents": beats("a", memory_used_mb=-1)}, InvalidInput, "agents.0.memoryUsedMb"),
        ({"agents": beats("a", uptime_seconds=-1)}, InvalidInput, "agents.0.uptimeSeconds"),
        ({"agents": beats("a", uptime_seconds=2**31)}, InvalidInput, "agents.0.uptimeSeconds"),
        ({"agents": beats("a", "b", "a")}, InvalidInput, "agents.2.agentId"),
        ({"agents": beats(*map(str, range(2001)))}, LimitExceeded, "agents"),
        ({"sent_at": NOW + timedelta(days=1, seconds=1)}, InvalidInput, "sentAt"),
        ({"sent_at": NOW - timedelta(days=800)}, InvalidInput, "sentAt"),
    ],
)
def test_bad_heartbeats(more: dict[str, Any], kind: type[KiciError], path: str) -> None:
    with pytest.raises(kind) as raised:
        reports.check_heartbeat(beating("c", **more), NOW)
    assert ".".join(raised.value.path or ()) == path


def test_good_heartbeats() -> None:
    reports.check_heartbeat(beating("c", agents=beats("a", "b", memory_used_mb=0)), NOW)
    reports.check_heartbeat(beating("c", sent_at=NOW - timedelta(hours=23)), NOW)
    reports.check_heartbeat(beating("c", agents=beats(*map(str, range(2000)))), NOW)


@pytest.mark.parametrize(
    ("alerts", "kind", "path"),
    [
        ([alert(""), alert("b")], InvalidInput, "alerts.0.dedupeKey"),
        ([alert("a"), alert("a")], InvalidInput, "alerts.1.dedupeKey"),
        ([alert(message="")], InvalidInput, "alerts.0.message"),
        ([alert(message="m" * 2001)], InvalidInput, "alerts.0.message"),
        ([alert(str(n)) for n in range(101)], LimitExceeded, "alerts"),
    ],
)
def test_bad_alerts(alerts: list[ReportedAlertInput], kind: type[KiciError], path: str) -> None:
    with pytest.raises(kind) as raised:
        reports.check_alerts(alerts)
    assert ".".join(raised.value.path or ()) == path


@pytest.mark.parametrize("text", ["one\ntwo\tthree", "ß", "🚀", "a" * 2000])
def test_messages_may_have_lines(text: str) -> None:
    reports.check_alerts([alert(message=text)])


def test_neither_too_much_nor_bad_input_is_retryable() -> None:
    with pytest.raises(LimitExceeded) as raised:
        reports.check_count([1, 2], "agents", 1)
    assert not raised.value.retryable
    assert not InvalidInput("x").retryable


def nested(levels: int) -> Any:
    return orjson.loads('{"a":' * levels + "1" + "}" * levels)


def test_json_may_be_nested_as_deeply_as_every_answer_can_hold_it() -> None:
    check_json(nested(MAX_DEPTH), ["x"])
    for levels in (MAX_DEPTH + 1, 240, 1000):
        with pytest.raises(InvalidInput, match="can't be kept"):
            check_json(nested(levels), ["x"])
    with pytest.raises(InvalidInput, match="can't be kept"):
        check_json([2**64], ["x"])
    check_json([[], {}, None, "x"], ["x"])
    check_json(None, ["x"])
