"""What the server's clock says."""

from datetime import datetime, timedelta

from kici_gql.cli.examination.finding import Finding, Status

SKEW_WORTH_SAYING = timedelta(seconds=2)
SKEW_TOO_MUCH = timedelta(seconds=60)


def clock_finding(server: datetime, began: datetime, ended: datetime) -> Finding:
    """What the server's time says, told between two moments of our clock."""
    middle = began + (ended - began) / 2
    skew, doubt = server - middle, (ended - began) / 2
    sure = max(timedelta(0), abs(skew) - doubt)
    side = "ahead of" if skew > timedelta(0) else "behind"
    text = f"the server's clock is {abs(skew).total_seconds():.1f} s {side} ours"
    right = "Let both machines follow NTP. The server judges all times, expiry of tokens included, by its own clock."
    if sure <= SKEW_WORTH_SAYING:
        return Finding(Status.OK, "clock", f"within {(abs(skew) + doubt).total_seconds():.1f} s of ours")
    return Finding(Status.WARNING if sure <= SKEW_TOO_MUCH else Status.FAILED, "clock", text, right)
