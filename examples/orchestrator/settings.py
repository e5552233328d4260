"""The settings of this orchestrator's cluster: a small TOML file that its operator writes, read anew when it changes.

.. code-block:: toml

    [policy]                        # shown as it is
    require_review = "true"

    [writes]                        # what users may do from outside; what is not named is allowed
    "registration.delete" = false

    [[environments]]
    name = "production"
    variables = ["REGION"]
    rules = [{ type = "required_reviewers", description = "two of the team" }]

    [global_workflows]
    enabled = true
    allowed = ["acme/shop"]

    [secrets]
    directory = "secrets"           # a folder for each scope, a file for each secret
    vault = { mount = "secret" }    # only when VAULT_ADDR is set

    [bindings]                      # what may use a scope
    deploy = ["environment:production"]
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.reports import Input
from orchestrator.secrets import Backend, Directory, vault_from_environment


class BadSettings(Exception):
    """The file can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says. ``policy``, ``environments`` and ``global_workflows`` are inputs of the API."""

    policy: Input = field(default_factory=lambda: {"settings": [], "writes": []})
    environments: tuple[Input, ...] = ()
    global_workflows: Input = field(default_factory=lambda: {"enabled": False})
    bindings: dict[str, list[str]] = field(default_factory=dict)
    backends: tuple[Backend, ...] = ()

    def allows(self, operation: str) -> bool:
        """Whether users may do this from outside."""
        return all(each["allowed"] for each in self.policy["writes"] if each["operation"] == operation)


def read(file: Path | None) -> Settings:
    """What the file says; without one, nothing but the vault that the environment names. Raises BadSettings."""
    if file is None:
        return _parse({}, Path())
    try:
        return _parse(tomllib.loads(file.read_text()), file.parent)
    except OSError as error:
        raise BadSettings(f"{file}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadSettings(f"{file}: {error!r}") from error


def _parse(values: dict[str, Any], folder: Path) -> Settings:
    unknown = values.keys() - {
        "policy",
        "writes",
        "environments",
        "global_workflows",
        "secrets",
        "bindings",
    }
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return Settings(
        policy={
            "settings": [
                {"key": key, "value": str(value)} for key, value in values.get("policy", {}).items()
            ],
            "writes": [
                {"operation": str(name), "allowed": _switch(name, value)}
                for name, value in values.get("writes", {}).items()
            ],
        },
        environments=tuple(_environment(each) for each in values.get("environments", [])),
        global_workflows=_global_workflows(values.get("global_workflows", {})),
        bindings={name: _texts(each) for name, each in values.get("bindings", {}).items()},
        backends=tuple(_backends(values.get("secrets", {}), folder)),
    )


def _environment(values: dict[str, Any]) -> Input:
    return {
        "name": str(values["name"]),
        "type": str(values.get("type", "glob" if "*" in values["name"] else "fixed")),
        "enabled": bool(values.get("enabled", True)),
        "variableNames": _texts(values.get("variables", [])),
        "protectionRules": [
            {"type": str(rule["type"]), "description": rule.get("description")}
            for rule in values.get("rules", [])
        ],
    }


def _global_workflows(values: dict[str, Any]) -> Input:
    lists = {
        "allowed": "allowedRepositories",
        "denied": "deniedRepositories",
        "elevated": "elevatedRepositories",
    }
    given = {lists[key]: _texts(each) for key, each in values.items() if key in lists}
    return {"enabled": bool(values.get("enabled", False)), **given}


def _backends(values: dict[str, Any], folder: Path) -> list[Backend]:
    found: list[Backend] = []
    if "directory" in values:
        found.append(Directory("files", folder / str(values["directory"])))
    told = values.get("vault", {})
    vault = vault_from_environment(
        "vault", str(told.get("mount", "secret")), str(told.get("prefix", "")).lstrip("/")
    )
    return found if vault is None else [*found, vault]


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TypeError(f"{values!r} is no list of texts")
    return values


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; say true or false")
    return value
