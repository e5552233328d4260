"""Liveness that can be questioned: state, reason, since when, until when."""

from datetime import datetime
from typing import Protocol

import strawberry

from kici_gql.tables import Liveness


class Judged(Protocol):
    """A row that liveness is kept for."""

    liveness: Liveness
    liveness_reason: str
    liveness_since: datetime
    missed_beats: int


@strawberry.type(name="LivenessInfo", description="Whether somebody is there, and why the server thinks so.")
class LivenessInfo:
    state: Liveness = strawberry.field(description="The verdict.")
    reason: str = strawberry.field(description="Why, in words.")
    since: datetime = strawberry.field(description="When the verdict became this.")
    missed_beats: int = strawberry.field(description="Heartbeats missed when it was last judged.")


def liveness_of(row: Judged) -> LivenessInfo:
    return LivenessInfo(
        state=row.liveness,
        reason=row.liveness_reason,
        since=row.liveness_since,
        missed_beats=row.missed_beats,
    )
