"""Frames of 0.1 rewritten as 0.9 sends them (see PROTOCOL-0.9)."""

import copy
import uuid
from typing import Any

Frame = dict[str, Any]


def to_09(frame: Frame) -> list[Frame]:
    """The frames that say the same in 0.9: contexts, a three-state policy, a replay in pieces, `unroutable`, news that we ignore."""
    new = copy.deepcopy(frame)
    match frame["type"]:
        case "auth.request" | "orch.capabilities.update":
            new["capabilities"] = _capabilities(new["capabilities"])
        case "state.replay":
            return _replay(new)
        case "source.register":
            new["configPaths"] = {"scalerConfig": "/etc/kici/scaler.yaml"}
        case "execution.status":
            new |= {
                "routingKey": "generic:x:y",
                "triggeredByAgentLabel": None,
                "failureClass": "step_failure",
            }
        case "job.status.forward" if new["status"] == "failed":
            new["status"] = "unroutable"  # 0.9 says so where no agent matched; it means the same
        case "log.chunk":
            new["stream"] = "stdout"
    return [*_BEFORE.get(frame["type"], ()), new]


_BEFORE: dict[str, list[Frame]] = {
    "source.register": [{"type": "cluster.membership", "workers": [], "timestamp": 1795440185760}],
    "job.context": [
        {"type": "orch-log.chunk", "runId": "x", "jobId": "y", "phase": "setup", "lines": ["ready"]}
    ],
    "heartbeat": [{"type": "nack", "receivedType": "something.else", "reason": "unknown"}],
}


def _capabilities(capabilities: Frame) -> Frame:
    words = {True: "permissive", False: "disabled"}
    requests = [
        name.replace("dashboard.environments.", "dashboard.contexts.")
        for name in capabilities["supportedDashboardRequests"]
    ]
    new = capabilities | {
        "supportedDashboardRequests": [*requests, "dashboard.run.state"],
        "dashboardEncryptionKey": {"kty": "OKP"},
    }
    if "dashboardWrites" in capabilities:
        new["dashboardWrites"] = {
            name.replace("environments.", "contexts."): words[state]
            for name, state in capabilities["dashboardWrites"].items()
        }
    return new


def _replay(frame: Frame) -> list[Frame]:
    for run in frame["runs"]:
        run |= {"triggeredByAgentLabel": None, "failureClass": None}
        for job in run.get("jobs", []):
            job["contexts"] = job.pop("environments", None)
    pages = [frame["runs"][start : start + 200] for start in range(0, len(frame["runs"]), 200)]
    return [
        frame | {"runs": page, "messageId": str(uuid.UUID(int=index))} for index, page in enumerate(pages)
    ]
