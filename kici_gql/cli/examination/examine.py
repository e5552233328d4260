"""One check after the other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import aiohttp

from kici_gql.cli.examination.clock import clock_finding
from kici_gql.cli.examination.events import events_of
from kici_gql.cli.examination.finding import Finding, Status, Wrong, timely
from kici_gql.cli.examination.health import health, readiness
from kici_gql.cli.examination.patient import Patient
from kici_gql.cli.examination.query import who
from kici_gql.cli.examination.token import token_finding
from kici_gql.cli.examination.websocket import websocket_of


async def examine(url: str, token: str, seconds: float) -> AsyncIterator[Finding]:
    """All findings, as they are made. Each check may take `seconds`."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        patient = Patient(url, token, seconds, http)
        reached = await _checked("healthz", patient, health)
        yield reached
        if reached.status is Status.FAILED:
            for check in ("readyz", "http", "websocket", "sse"):
                yield Finding(Status.SKIPPED, check, "the server was not reached")
            return
        yield await _checked("readyz", patient, readiness)
        scope: str | None = None
        try:
            answer, began, ended = await who(patient)
        except Wrong as wrong:
            yield wrong.finding("http")
        else:
            viewer, server = answer["viewer"], answer["serverInfo"]
            scope = viewer["scope"]
            took = f"{(ended - began).total_seconds() * 1000:.0f} ms"
            yield timely(
                "http",
                (ended - began).total_seconds(),
                f"answered a query in {took}; kici_gql {server['version']} on {server['database']}",
            )
            yield clock_finding(datetime.fromisoformat(server["time"]), began, ended)
            yield token_finding(viewer, ended)
        yield await _checked("websocket", patient, websocket_of(scope))
        yield await _checked("sse", patient, events_of(scope))


async def _checked(check: str, patient: Patient, look: Callable[[Patient], Awaitable[Finding]]) -> Finding:
    try:
        return await look(patient)
    except Wrong as wrong:
        return wrong.finding(check)
