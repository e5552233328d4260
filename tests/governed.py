"""What orchestrators report of their cluster's own settings, and what there is to see of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from kici_gql.actions import settings_reports
from kici_gql.actions.perform import Done
from kici_gql.api.mutations.settings_inputs import (
    DeadLetterInput,
    EnvironmentInput,
    GlobalWorkflowsInput,
    OrchestratorReportSettingsInput,
    SecretBackendInput,
    SecretScopeInput,
    SecurityPolicyInput,
    SettingInput,
    WritePermissionInput,
    told_by,
)
from kici_gql.tables import BackendHealth
from tests.world import World

T = TypeVar("T")

_SHOWN = """id name connected disconnectedReason
    securityPolicy { reportedAt settings { key value } writes { operation allowed commandLine } }
    environments { nodes { name variableNames } }
    secretScopes { nodes { name secretNames bindings } }
    deadLetters { nodes { id eventName } }
    globalWorkflows { enabled allowedRepositories }
    secretBackends { id name health scopes lastError }
    registrations { nodes { name } }"""
SURFACES = f"query ($name: String!) {{ org {{ cluster(name: $name) {{ {_SHOWN} }} }} }}"
ALL_SURFACES = f"{{ org {{ clusters {{ nodes {{ {_SHOWN} }} }} }} }}"
SCOPED = (
    "securityPolicy",
    "environments",
    "secretScopes",
    "deadLetters",
    "globalWorkflows",
    "secretBackends",
)
"""All that settings reports tell; `registrations` has a report of its own."""


def backend(name: str = "files", **more: Any) -> SecretBackendInput:
    values: dict[str, Any] = {"type": "files", "connected": True, "health": BackendHealth.HEALTHY}
    return SecretBackendInput(name=name, **values | more)


def letter(id_: str = "l1", **more: Any) -> DeadLetterInput:
    return DeadLetterInput(**{"id": id_, "event_name": "push", **more})


def policy(**writes: bool) -> SecurityPolicyInput:
    """Writes by their names, with an underscore for the dot."""
    told = [
        WritePermissionInput(operation=name.replace("__", "."), allowed=allowed)
        for name, allowed in writes.items()
    ]
    return SecurityPolicyInput(writes=told)


def everything(mark: str) -> dict[str, Any]:
    """All parts of a report, each with the mark in it."""
    return {
        "security_policy": SecurityPolicyInput(settings=[SettingInput(key="mark", value=mark)]),
        "environments": [EnvironmentInput(name=mark, variable_names=[f"VAR_{mark}"])],
        "secret_scopes": [
            SecretScopeInput(name=mark, secret_names=[f"name_{mark}"], bindings=[f"env:{mark}"])
        ],
        "dead_letters": [letter(mark)],
        "global_workflows": GlobalWorkflowsInput(enabled=True, allowed_repositories=[mark]),
        "secret_backends": [backend(mark, scopes=[mark])],
    }


def marks(cluster: dict[str, Any]) -> dict[str, Any]:
    """By surface the mark that it shows, or None where it can't be read."""

    def shown(name: str) -> Any:
        told = cluster[name]
        if told is None:
            return None
        match name:
            case "securityPolicy":
                return told["settings"][0]["value"]
            case "globalWorkflows":
                return told["allowedRepositories"][0]
            case "secretBackends":
                return told[0]["name"]
            case "deadLetters":
                return told["nodes"][0]["id"]
            case _:
                return told["nodes"][0]["name"]

    return {name: shown(name) for name in SCOPED}


async def report(world: World, connection: str, org: str = "default", **parts: Any) -> Done:
    told = told_by(OrchestratorReportSettingsInput(connection_id=connection, **parts))
    return await settings_reports.report(
        world.call("ORCHESTRATOR", org), connection, told.surfaces, told.backends
    )


async def until(found: Callable[[], Awaitable[T]]) -> T:
    """What is found, as soon as it is something."""
    async with asyncio.timeout(60):
        while True:
            if value := await found():
                return value
            await asyncio.sleep(0.005)


async def codes(world: World, name: str) -> dict[str, str]:
    """By surface the code of the error that it answers, if it does."""
    answer = await world.run(SURFACES, name=name)
    return {error["path"][-1]: error["extensions"]["code"] for error in answer.get("errors", [])}
