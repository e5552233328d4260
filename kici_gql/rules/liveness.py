"""Who is alive, judged by the server's own clock and nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kici_gql.tables import Liveness


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How long silence may last. `interval` is the agreed time between beats."""

    interval: timedelta
    late_after: timedelta
    lost_after: timedelta


@dataclass(frozen=True, slots=True)
class Verdict:
    """What silence means at one moment; `due_at` is when it has to be judged again (None: never by itself)."""

    state: Liveness
    reason: str
    missed_beats: int
    due_at: datetime | None


def alive(now: datetime, limits: Thresholds) -> Verdict:
    """The verdict at the moment a beat arrives."""
    return Verdict(Liveness.ONLINE, "heartbeat received", 0, now + limits.late_after)


def judge(
    last_beat: datetime,
    now: datetime,
    serving_since: datetime,
    limits: Thresholds,
    before: Liveness = Liveness.ONLINE,
) -> Verdict:
    """The verdict on somebody who was last heard at `last_beat` and was judged `before`.

    Silence is counted from the moment this server could hear at all: after a restart nobody is late or lost
    because the server was away. Nor is anybody better for it: only a beat makes online again.
    """
    heard = max(last_beat, serving_since)
    silence = now - heard
    missed = max(0, int(silence / limits.interval))
    if silence >= limits.lost_after:
        return Verdict(Liveness.LOST, f"no heartbeat for {int(silence.total_seconds())} s", missed, None)
    if silence >= limits.late_after:
        return Verdict(Liveness.LATE, f"{missed} heartbeats missed", missed, heard + limits.lost_after)
    if before is Liveness.LATE:
        return Verdict(Liveness.LATE, "heartbeats missed", missed, heard + limits.late_after)
    return Verdict(Liveness.ONLINE, "heartbeat received", missed, heard + limits.late_after)


AWAITED = (Liveness.ONLINE, Liveness.LATE, Liveness.NEVER_SEEN)
"""Agents in these states are waited for: their silence has to be judged."""


def due_at(heard: datetime, now: datetime, limits: Thresholds) -> datetime:
    """When the silence of somebody last heard at `heard` has to be judged next; it may turn out to be too soon."""
    ahead = (heard + limit for limit in (limits.late_after, limits.lost_after) if heard + limit > now)
    return next(ahead, now)


def silent_together(silent: int, total: int) -> bool:
    """Whether so many of a cluster's agents, or orchestrators, went silent that the cluster is the problem, not each.

    More than half, and at least three: with fewer, one alert each says more.
    """
    return silent >= 3 and silent * 2 > total
