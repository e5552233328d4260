"""Whether the server is there, and whether it is ready."""

import json
from time import monotonic

from kici_gql.cli.examination.finding import Finding, Status, Wrong, timely
from kici_gql.cli.examination.patient import Patient, fetch, shown


async def health(patient: Patient) -> Finding:
    began = monotonic()
    response, body = await fetch(patient, "GET", f"{patient.url}/healthz")
    if response.status != 200 or body.strip() != b"ok":
        raise Wrong(
            f"something answers at {patient.url}, but /healthz says {response.status} {shown(body)!r}",
            "This is no kici_gql, or a proxy that does not pass /healthz on: check the address, the port and the proxy.",
        )
    took = monotonic() - began
    return timely("healthz", took, f"reached {patient.url} in {took * 1000:.0f} ms")


async def readiness(patient: Patient) -> Finding:
    response, body = await fetch(patient, "GET", f"{patient.url}/readyz")
    try:
        said = json.loads(body)
        problems, bus = list(said["problems"]), bool(said["bus"])
    except (ValueError, KeyError, TypeError):
        raise Wrong(
            f"/readyz says {response.status} {shown(body)!r}",
            "Let the proxy pass /readyz on to kici_gql unchanged.",
        ) from None
    if "database" in problems:
        raise Wrong(
            "the server can't reach its database",
            "Start the database, and compare KICI_GQL_DATABASE_URL with where it is.",
        )
    if problems:
        raise Wrong(f"the server is not ready: {', '.join(problems)}", "Wait until it has restarted.")
    if not said.get("writes", True):
        raise Wrong(
            "the server's newest transaction could not commit",
            "The server's log says why; the usual reason is a full disk.",
        )
    if not bus:
        return Finding(
            Status.WARNING, "readyz", "ready, but the bus between the server's processes is down",
            "Changes made through another process come up to 5 s late: start Redis, and check KICI_GQL_BROADCAST_URL.",
        )  # fmt: skip
    return Finding(Status.OK, "readyz", "database and bus answer")
