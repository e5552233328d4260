from datetime import UTC, datetime, timedelta
from typing import Any

from kici_gql.rules import alerts
from kici_gql.tables import Alert, AlertKind, AlertState

NOW = datetime(2026, 1, 31, tzinfo=UTC)
FOUND = alerts.problem(AlertKind.AGENT_LOST, "agt_1", "Agent a is lost", "clu_1")


def alert(**more: Any) -> Alert:
    values: dict[str, Any] = {
        "id": "alr_1",
        "org_id": "org_1",
        "dedupe_key": FOUND.key,
        "kind": FOUND.kind,
        **(alerts.opened(None, FOUND, NOW, [1]) or {}),
    }
    return Alert(**values | more)


def after(before: Alert, values: dict[str, Any] | None) -> Alert:
    assert values is not None
    return Alert(**before.model_dump() | values)


def test_a_whole_life() -> None:
    first = alert()
    assert (first.state, first.flap_count, first.evidence, first.revision) == (AlertState.OPEN, 0, [1], 1)
    taken = after(first, alerts.acknowledged(first, "ops", "on it", NOW + timedelta(hours=1), NOW))
    assert (taken.state, taken.acknowledged_by, taken.revision) == (AlertState.ACKNOWLEDGED, "ops", 2)
    assert alerts.opened(taken, FOUND, NOW, [2]) is None, "an acknowledged alert stays acknowledged"
    gone = after(taken, alerts.resolved(taken, NOW, [3]))
    assert (gone.state, gone.resolved_at, gone.revision) == (AlertState.RESOLVED, NOW, 3)
    again = after(gone, alerts.opened(gone, FOUND, NOW, [4]))
    assert (again.state, again.flap_count, again.revision) == (AlertState.OPEN, 1, 4)
    assert (again.acknowledged_by, again.resolved_at, again.evidence) == (None, None, [1, 3, 4])


def test_the_same_problem_again_says_nothing_new() -> None:
    assert alerts.opened(alert(), FOUND, NOW, [2]) is None


def test_another_message_is_a_change() -> None:
    values = alerts.opened(alert(message="before"), FOUND, NOW, [2])
    assert values is not None
    assert values["message"] == FOUND.message
    assert "state" not in values


def test_what_is_resolved_or_never_was_can_not_be_resolved() -> None:
    assert alerts.resolved(None, NOW, []) is None
    assert alerts.resolved(alert(state=AlertState.RESOLVED), NOW, []) is None


def test_evidence_keeps_the_newest() -> None:
    values = alerts.resolved(alert(evidence=list(range(20))), NOW, [99])
    assert values is not None
    assert values["evidence"] == [*range(1, 20), 99]


def test_an_acknowledgement_that_ran_out_leaves_nothing_behind() -> None:
    taken = after(alert(), alerts.acknowledged(alert(), "ops", "n", NOW, NOW))
    open_again = after(taken, alerts.unacknowledged(taken, NOW))
    assert (open_again.state, open_again.acknowledged_by, open_again.acknowledged_until) == (
        AlertState.OPEN,
        None,
        None,
    )


def test_every_kind_but_the_reported_has_a_severity() -> None:
    assert set(alerts.SEVERITY) == set(AlertKind) - {AlertKind.REPORTED}
