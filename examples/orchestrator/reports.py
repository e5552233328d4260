"""What the orchestrator tells the server, as inputs of the API's mutations. Pure: values in, values out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator import VERSION
from orchestrator.machine import Figures, Host
from orchestrator.messages import Beat, Hello
from orchestrator.scaler import BareMetalScaler

Input = dict[str, Any]
"""One GraphQL input object."""


@dataclass(frozen=True, slots=True)
class Work:
    """Jobs that run and wait, and the version of the workflow registry."""

    running_jobs: int
    queued_jobs: int
    registry_version: str


def introduction(
    host: Host, scaler: BareMetalScaler, versions: dict[str, str], names: Input, idempotency_key: str
) -> Input:
    """An OrchestratorConnectInput; ``names`` holds ``clusterName``, ``instanceId`` and ``registryVersion``."""
    return {
        **names,
        "role": "COORDINATOR",
        "version": VERSION,
        "mode": "independent",
        "host": host_input(host),
        "capabilities": ["workflows", "commands", "logs"],
        "scalers": [scaler_input(scaler, host, versions)],
        "agents": list(agent_inputs(scaler).values()),
        "idempotencyKey": idempotency_key,
    }


def host_input(host: Host | Hello) -> Input:
    """A HostInput."""
    return {
        "hostname": host.hostname,
        "runningAs": host.running_as,
        "platform": host.platform,
        "arch": host.arch,
        "cpuCount": host.cpu_count,
        "memoryTotalMb": host.memory_total_mb,
    }


def scaler_input(scaler: BareMetalScaler, host: Host, versions: dict[str, str]) -> Input:
    """A ScalerInput; the summary shows how it is set up and what it runs on."""
    summary = {"restartAfterSeconds": f"{scaler.restart_after_seconds:g}", **versions}
    return {
        "name": scaler.name,
        "type": "BARE_METAL",
        "maxAgents": scaler.max_agents,
        "labels": scaler.labels,
        "configSummary": [{"key": key, "value": value} for key, value in summary.items()],
        "hosts": [host.hostname],
    }


def agent_inputs(scaler: BareMetalScaler) -> dict[str, Input]:
    """An AgentInput for each agent that introduced itself, by agent id."""
    return {
        agent_id: {
            "agentId": agent_id,
            "scaler": scaler.name,
            "host": host_input(hello),
            "version": hello.version,
            "labels": scaler.labels,
            "maxConcurrency": hello.max_concurrency,
        }
        for agent_id, hello in scaler.introduced().items()
    }


def heartbeat(
    connection_id: str, now: datetime, figures: Figures, work: Work, beats: dict[str, Beat]
) -> Input:
    """An OrchestratorHeartbeatInput with the beats of those agents that have beaten."""
    return {
        "connectionId": connection_id,
        "sentAt": now.isoformat(),
        "memoryUsedMb": figures.memory_used_mb,
        "uptimeSeconds": figures.uptime_seconds,
        "runningJobs": work.running_jobs,
        "queuedJobs": work.queued_jobs,
        "registryVersion": work.registry_version,
        "agents": [
            {
                "agentId": agent_id,
                "memoryUsedMb": beat.memory_used_mb,
                "uptimeSeconds": beat.uptime_seconds,
                "activeJobs": beat.active_jobs,
                "paused": beat.paused,
            }
            for agent_id, beat in beats.items()
        ],
    }


def exit_alerts(dead: dict[str, str], reported: dict[str, str]) -> list[Input]:
    """The ReportedAlertInputs that lead from the ends that were reported to those that are so now.

    Both map an agent id to how its process ended. INFO, because an agent whose absence matters gets its own alert from
    the server, which judges by the beats.
    """
    news = [(agent_id, how, False) for agent_id, how in dead.items() if reported.get(agent_id) != how]
    olds = [(agent_id, how, True) for agent_id, how in reported.items() if agent_id not in dead]
    return [
        {
            "dedupeKey": f"agent-exit:{agent_id}",
            "severity": "INFO",
            "message": f"Agent {agent_id}: {how}",
            "resolved": resolved,
        }
        for agent_id, how, resolved in [*news, *olds]
    ]
