"""The life of an alert: OPEN → ACKNOWLEDGED → RESOLVED, and open again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kici_gql.events import iso
from kici_gql.tables import Alert, AlertKind, AlertSeverity, AlertState

MAX_EVIDENCE = 20
MAX_HISTORY = 50

SEVERITY: dict[AlertKind, AlertSeverity] = {
    AlertKind.ORCHESTRATOR_DISCONNECTED: AlertSeverity.CRITICAL,
    AlertKind.CLUSTER_SILENT: AlertSeverity.CRITICAL,
    AlertKind.AGENT_LOST: AlertSeverity.WARNING,
    AlertKind.SCALER_AT_CAPACITY: AlertSeverity.WARNING,
    AlertKind.VERSION_SKEW: AlertSeverity.INFO,
    AlertKind.NAME_COLLISION: AlertSeverity.WARNING,
    AlertKind.BACKEND_UNHEALTHY: AlertSeverity.WARNING,
    AlertKind.DEAD_LETTERS_GROWING: AlertSeverity.WARNING,
}
"""Severity of the alerts this server raises itself; orchestrators state the severity of what they report."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong now. `key` names it within its org, so that the same problem is one alert."""

    key: str
    kind: AlertKind
    severity: AlertSeverity
    message: str
    cluster_id: str | None = None
    subject_id: str | None = None


def problem(kind: AlertKind, subject_id: str, message: str, cluster_id: str | None) -> Problem:
    """A problem that this server noticed itself."""
    return Problem(f"{kind}:{subject_id}", kind, SEVERITY[kind], message, cluster_id, subject_id)


def opened(alert: Alert | None, found: Problem, now: datetime, evidence: list[int]) -> dict[str, Any] | None:
    """Columns to write when a problem is found; None when the alert says so already.

    A resolved alert opens again and counts one more flap. An acknowledged one stays acknowledged.
    """
    fresh: dict[str, Any] = {"message": found.message, "severity": found.severity, "updated_at": now}
    if alert is None:
        return fresh | {
            "state": AlertState.OPEN,
            "opened_at": now,
            "evidence": evidence[-MAX_EVIDENCE:],
            "history": _history(None, AlertState.OPEN, now),
        }
    fresh |= {"evidence": (alert.evidence + evidence)[-MAX_EVIDENCE:], "revision": alert.revision + 1}
    if alert.state is AlertState.RESOLVED:
        return fresh | {
            "state": AlertState.OPEN,
            "opened_at": now,
            "resolved_at": None,
            "history": _history(alert, AlertState.OPEN, now),
            "flap_count": alert.flap_count + 1,
            **_NOT_ACKNOWLEDGED,
        }
    if (alert.message, alert.severity) == (found.message, found.severity):
        return None
    return fresh


def resolved(alert: Alert | None, now: datetime, evidence: list[int]) -> dict[str, Any] | None:
    """Columns to write when a problem is gone; None when there is nothing to resolve."""
    if alert is None or alert.state is AlertState.RESOLVED:
        return None
    return {
        "state": AlertState.RESOLVED,
        "resolved_at": now,
        "history": _history(alert, AlertState.RESOLVED, now),
        "updated_at": now,
        "evidence": (alert.evidence + evidence)[-MAX_EVIDENCE:],
        "revision": alert.revision + 1,
    }


def acknowledged(
    alert: Alert, by: str, note: str | None, until: datetime | None, now: datetime
) -> dict[str, Any]:
    """Columns to write when somebody takes an alert on."""
    return {
        "state": AlertState.ACKNOWLEDGED,
        "acknowledged_by": by,
        "acknowledged_at": now,
        "acknowledged_note": note,
        "acknowledged_until": until,
        "history": _history(alert, AlertState.ACKNOWLEDGED, now, by, note),
        "updated_at": now,
        "revision": alert.revision + 1,
    }


def unacknowledged(alert: Alert, now: datetime) -> dict[str, Any]:
    """Columns to write when an acknowledgement runs out while the problem is still there."""
    return {
        "state": AlertState.OPEN,
        "history": _history(alert, AlertState.OPEN, now),
        "updated_at": now,
        "revision": alert.revision + 1,
        **_NOT_ACKNOWLEDGED,
    }


def _history(
    alert: Alert | None, state: AlertState, now: datetime, by: str | None = None, note: str | None = None
) -> list[dict[str, Any]]:
    """The alert's transitions with one more; the oldest go when there are too many."""
    before = alert.history if alert is not None else []
    return [*before, {"at": iso(now), "state": state.value, "by": by, "note": note}][-MAX_HISTORY:]


_NOT_ACKNOWLEDGED: dict[str, Any] = {
    "acknowledged_by": None,
    "acknowledged_at": None,
    "acknowledged_note": None,
    "acknowledged_until": None,
}
