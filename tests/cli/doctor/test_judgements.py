"""What `kici-gql doctor` makes of clocks and tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kici_gql.cli.examination.clock import clock_finding
from kici_gql.cli.examination.finding import Status
from kici_gql.cli.examination.token import token_finding

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("skew", "took", "status"),
    [
        (0.0, 0.01, Status.OK),
        (2.0, 0.01, Status.OK),
        (-3.0, 0.01, Status.WARNING),
        (3.0, 4.0, Status.OK),  # so slow an answer proves nothing
        (60.0, 0.01, Status.WARNING),
        (-61.0, 0.01, Status.FAILED),
        (86_400.0, 0.01, Status.FAILED),
    ],
)
def test_clocks(skew: float, took: float, status: Status) -> None:
    ended = NOON + timedelta(seconds=took)
    finding = clock_finding(NOON + timedelta(seconds=skew + took / 2), NOON, ended)
    assert finding.status is status
    if status is not Status.OK:
        assert f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours" in finding.text


@pytest.mark.parametrize(
    ("days", "status"), [(None, Status.OK), (8, Status.OK), (7, Status.WARNING), (0.5, Status.WARNING)]
)
def test_tokens(days: float | None, status: Status) -> None:
    expires = None if days is None else (NOON + timedelta(days=days)).isoformat()
    viewer = {"tokenName": "me", "scope": "VIEWER", "clusterName": None, "expiresAt": expires,
              "org": {"slug": "default"}}  # fmt: skip
    assert token_finding(viewer, NOON).status is status


def test_nobody_is_told_so() -> None:
    viewer: dict[str, Any] = {"tokenName": "anonymous", "scope": None, "clusterName": None, "expiresAt": None}
    assert token_finding(viewer | {"org": None}, NOON).status is Status.FAILED
