"""Alerts that orchestrators report, and what people do about alerts."""

from collections.abc import Sequence
from datetime import datetime

from kici_gql.actions import problems
from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.errors import Conflict, InvalidInput, NotFound, VersionConflict
from kici_gql.rules import alerts as rules
from kici_gql.rules import reports
from kici_gql.rules.alerts import Problem
from kici_gql.rules.secrets import redacted
from kici_gql.store import Tx, records
from kici_gql.store import alerts as store
from kici_gql.tables import Alert, AlertKind, AlertState


async def report(call: Call, connection_id: str, alerts: Sequence[reports.ReportedAlert]) -> Done:
    """Open, update or resolve an orchestrator's own alerts. Answers `alert_ids` in the order of the input."""

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        return {
            "object_id": orchestrator.id,
            "alert_ids": [_report_one(tx, orchestrator.id, orchestrator.cluster_id, each) for each in alerts],
        }

    return await perform(call, Action("orchestratorReportAlerts", work, lambda: reports.check_alerts(alerts)))


async def acknowledge(
    call: Call,
    alert_id: str,
    note: str | None,
    until: datetime | None,
    expected_version: int | None,
    idempotency_key: str | None,
) -> Done:
    """Say that somebody is on it, perhaps until some time. Answers `alert_id`.

    Raises NotFound, Conflict for a resolved alert, VersionConflict, InvalidInput.
    """

    def check() -> None:
        if note is not None:
            reports.check_text(note, ["note"], reports.MAX_MESSAGE, empty=True)
        if until is not None and until <= call.store.now():
            raise InvalidInput("until is in the past", hint="Send a later time, or none.", path=["until"])

    def work(tx: Tx) -> Result:
        alert = records.by_id(tx.connection, Alert, tx.org_id, alert_id)
        if alert is None:
            raise NotFound(
                "there is no such alert", hint="Query Org.alerts for what there is.", path=["alertId"]
            )
        if expected_version is not None and expected_version != alert.revision:
            raise VersionConflict(
                f"the alert has version {alert.revision} by now", current_id=alert.id, hint="Read it again."
            )
        if alert.state is AlertState.RESOLVED:
            raise Conflict("the alert is resolved", hint="There is nothing to acknowledge.", path=["alertId"])
        said = note and redacted(note)
        problems.changed(tx, alert, rules.acknowledged(alert, call.viewer.token_name, said, until, tx.now))
        return {"alert_id": alert.id}

    given = [alert_id, note, until, expected_version]
    action = Action("alertAcknowledge", work, check, alert_id, idempotency_key, given)
    return await perform(call, action)


def _report_one(tx: Tx, orchestrator_id: str, cluster_id: str, each: reports.ReportedAlert) -> str | None:
    key = f"{AlertKind.REPORTED}:{cluster_id}:{each.dedupe_key}"
    if each.resolved:
        alert = store.by_key(tx.connection, tx.org_id, key)
        if alert is not None:
            problems.settle(tx, alert, [])
        return alert.id if alert is not None else None
    found = Problem(
        key, AlertKind.REPORTED, each.severity, redacted(each.message), cluster_id, orchestrator_id
    )
    return problems.raise_alert(tx, found, []).id
