"""Frames from us to an orchestrator, other than requests."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

SENT = frozenset({"auth.success", "auth.failure", "source.register.ack", "source.deregister.ack"})
"""Every frame we send by ourselves. `platform.capabilities` is not among them: sent without `orchMetrics` it would
switch metrics off. `plan.headroom` neither: its ceiling outlives a restart. Nor is `nack`: two of them would be a loop."""


def encode(frame: Mapping[str, Any]) -> str:
    return orjson.dumps(frame).decode()


def auth_success(link_id: str) -> str:
    """No `orgId`: an orchestrator would tie its sources to it, and a name of ours must not get into its database."""
    return encode({"type": "auth.success", "connectionId": link_id})


def auth_failure(reason: str) -> str:
    return encode({"type": "auth.failure", "reason": reason})


def register_ack(message_id: str, routing_keys: Iterable[str]) -> str:
    """Every source is accepted: webhooks don't come through us, so no key can clash. Each ack costs a full replay."""
    accepted = [{"routingKey": key, "webhookUrl": None} for key in routing_keys]
    return encode(
        {"type": "source.register.ack", "messageId": message_id, "accepted": accepted, "rejected": []}
    )


def deregister_ack(message_id: str, routing_keys: Iterable[str]) -> str:
    return encode({"type": "source.deregister.ack", "messageId": message_id, "removed": list(routing_keys)})
