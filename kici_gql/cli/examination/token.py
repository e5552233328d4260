"""Whether the token is good, and for what and how long."""

from datetime import datetime, timedelta
from typing import Any

from kici_gql.cli.examination.finding import Finding, Status, Wrong

EXPIRY_WORTH_SAYING = timedelta(days=7)


def token_refused(message: str) -> Wrong:
    return Wrong(
        f"the server refuses it: {message}",
        "Check that it is complete (it starts with kgq_) and from this server; "
        "`kici-gql token list` shows which are valid, `kici-gql token create NAME` makes a new one.",
        check="token",
    )


def token_finding(viewer: dict[str, Any], now: datetime) -> Finding:
    """What the token may do, and for how long."""
    scope = viewer["scope"]
    if scope is None:  # demo mode lets everybody look at the schema
        return Finding(Status.FAILED, "token", "the server took us for nobody", "Send a token it knows.")
    whose = f"org {viewer['org']['slug']}" if viewer["org"] else "reports only, reads nothing"
    bound = f", cluster {viewer['clusterName']}" if viewer["clusterName"] else ""
    text = f"{viewer['tokenName']!r}, scope {scope} ({whose}{bound})"
    if viewer["expiresAt"] is None:
        return Finding(Status.OK, "token", f"{text}, does not expire")
    left = datetime.fromisoformat(viewer["expiresAt"]) - now
    text += f", expires {viewer['expiresAt'][:10]}"
    if left <= EXPIRY_WORTH_SAYING:
        return Finding(
            Status.WARNING, "token", f"{text}, in {left.days} d {left.seconds // 3600} h",
            "Make a new one with `kici-gql token create` and put it in place before that; streams end when it expires.",
        )  # fmt: skip
    return Finding(Status.OK, "token", text)
