"""The orchestrator's side of the GraphQL API: one WebSocket, the mutations sent over it, and what may go wrong.

A WebSocket and not single requests, because its end tells at once that the server is gone or has revoked the token.
Nothing here tries again by itself: a mutation whose answer was lost may have been carried out, and only the caller
knows whether it may be repeated.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from graphql import DocumentNode
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Longest wait for an answer; a server that takes longer counts as unreachable."""

# Refused at the start, revoked, expired; 4401 is what other servers of this protocol say.
_TOKEN_CLOSE_CODES = {4401, 4403, 4410, 4411}
_TOKEN_HTTP_STATUS = {401, 403}

_ERROR = "... on Error { code message path retryable hint }"
_CONNECT = f"""
mutation Connect($input: OrchestratorConnectInput!) {{
  answer: orchestratorConnect(input: $input) {{
    __typename
    ... on OrchestratorConnectSuccess {{
      connectionId clusterName heartbeatIntervalSeconds replayed orchestrator {{ cluster {{ id pendingName }} }}
    }}
    {_ERROR}
  }}
}}"""
_HEARTBEAT = f"""
mutation Heartbeat($input: OrchestratorHeartbeatInput!) {{
  answer: orchestratorHeartbeat(input: $input) {{
    __typename
    ... on OrchestratorHeartbeatSuccess {{ heartbeatIntervalSeconds unknownAgents }}
    {_ERROR}
  }}
}}"""
_REPORT_INVENTORY = f"""
mutation ReportInventory($input: OrchestratorReportInventoryInput!) {{
  answer: orchestratorReportInventory(input: $input) {{ __typename {_ERROR} }}
}}"""
_REPORT_ALERTS = f"""
mutation ReportAlerts($input: OrchestratorReportAlertsInput!) {{
  answer: orchestratorReportAlerts(input: $input) {{ __typename {_ERROR} }}
}}"""
_DISCONNECT = f"""
mutation Disconnect($input: OrchestratorDisconnectInput!) {{
  answer: orchestratorDisconnect(input: $input) {{ __typename {_ERROR} }}
}}"""
_REPORT_WORKFLOWS = f"""
mutation ReportWorkflows($input: OrchestratorReportWorkflowsInput!) {{
  answer: orchestratorReportWorkflows(input: $input) {{ __typename {_ERROR} }}
}}"""
_REPORT_SETTINGS = f"""
mutation ReportSettings($input: OrchestratorReportSettingsInput!) {{
  answer: orchestratorReportSettings(input: $input) {{ __typename {_ERROR} }}
}}"""
_REPORT_RUNS = f"""
mutation ReportRuns($input: OrchestratorReportRunsInput!) {{
  answer: orchestratorReportRuns(input: $input) {{ __typename {_ERROR} }}
}}"""
_REPORT_LOGS = f"""
mutation ReportLogs($input: OrchestratorReportLogsInput!) {{
  answer: orchestratorReportLogs(input: $input) {{
    __typename
    ... on OrchestratorReportLogsSuccess {{ droppedLines }}
    {_ERROR}
  }}
}}"""
_COMPLETE_COMMAND = f"""
mutation CompleteCommand($input: OrchestratorCompleteCommandInput!) {{
  answer: orchestratorCompleteCommand(input: $input) {{ __typename {_ERROR} }}
}}"""
_COMMANDS = """
subscription Commands($connectionId: String!, $after: Cursor) {
  commands(connectionId: $connectionId, after: $after) {
    kind cursor
    snapshot { commands { ...Wanted } }
    events { command { ...Wanted } }
  }
}
fragment Wanted on Command { id kind requestedBy payload }"""
DOCUMENTS = (
    _CONNECT,
    _HEARTBEAT,
    _REPORT_INVENTORY,
    _REPORT_ALERTS,
    _DISCONNECT,
    _REPORT_WORKFLOWS,
    _REPORT_SETTINGS,
    _REPORT_RUNS,
    _REPORT_LOGS,
    _COMPLETE_COMMAND,
    _COMMANDS,
)
"""Every operation that this client sends."""


class LinkDown(Exception):
    """The server can't be reached, went away or didn't answer in time: worth another try."""


class TokenRefused(Exception):
    """The server doesn't accept the token (any more): no use in trying again."""


class Refused(Exception):
    """The server understood and said no. ``code`` is the API's ErrorCode, ``hint`` says what would be right."""

    def __init__(self, code: str, message: str, hint: str | None = None, retryable: bool = False) -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.code = code
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Connection:
    """What the server answered to ``orchestratorConnect``; ``pending_name`` is what the cluster shall be called."""

    id: str
    cluster_name: str
    heartbeat_interval_seconds: float
    replayed: bool
    cluster_id: str
    pending_name: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the server answered to ``orchestratorHeartbeat``; agents it has never been told of are ``unknown``."""

    heartbeat_interval_seconds: float
    unknown_agents: frozenset[str]


class Link:
    """One open WebSocket to the server; made by ``open_link``.

    Every call raises LinkDown, TokenRefused or Refused, and nothing else.
    """

    def __init__(self, transport: WebsocketsTransport, session: AsyncClientSession) -> None:
        self._transport = transport
        self._session = session

    async def connect(self, values: dict[str, Any]) -> Connection:
        """Enter the fleet. ``values`` is an OrchestratorConnectInput with an idempotency key."""
        answer = await self._mutate(_CONNECT, values)
        return Connection(
            answer["connectionId"],
            answer["clusterName"],
            answer["heartbeatIntervalSeconds"],
            answer["replayed"],
            answer["orchestrator"]["cluster"]["id"],
            answer["orchestrator"]["cluster"]["pendingName"],
        )

    async def heartbeat(self, values: dict[str, Any]) -> Heard:
        """Send an OrchestratorHeartbeatInput."""
        answer = await self._mutate(_HEARTBEAT, values)
        return Heard(answer["heartbeatIntervalSeconds"], frozenset(answer["unknownAgents"]))

    async def report_inventory(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorReportInventoryInput."""
        await self._mutate(_REPORT_INVENTORY, values)

    async def report_alerts(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorReportAlertsInput."""
        await self._mutate(_REPORT_ALERTS, values)

    async def report_workflows(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorReportWorkflowsInput."""
        await self._mutate(_REPORT_WORKFLOWS, values)

    async def report_settings(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorReportSettingsInput."""
        await self._mutate(_REPORT_SETTINGS, values)

    async def report_runs(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorReportRunsInput."""
        await self._mutate(_REPORT_RUNS, values)

    async def report_logs(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorReportLogsInput."""
        answer = await self._mutate(_REPORT_LOGS, values)
        if answer.get("droppedLines"):
            log.warning("the server keeps no more of the log: it dropped %d lines", answer["droppedLines"])

    async def complete_command(self, values: dict[str, Any]) -> None:
        """Send an OrchestratorCompleteCommandInput."""
        await self._mutate(_COMPLETE_COMMAND, values)

    async def commands(self, connection_id: str, after: str | None) -> AsyncGenerator[dict[str, Any], None]:
        """The frames of ``commands``: behind a cursor, or with a snapshot at first."""
        values = {"connectionId": connection_id, "after": after}
        request = GraphQLRequest(_parsed(_COMMANDS), variable_values=values)
        try:
            async with aclosing(self._session.subscribe(request)) as stream:
                async for data in stream:
                    (frame,) = data.values()
                    yield frame
        except (TransportError, OSError) as error:
            raise _translate(error) from error

    async def disconnect(self, values: dict[str, Any]) -> None:
        """Leave the fleet with an OrchestratorDisconnectInput."""
        await self._mutate(_DISCONNECT, values)

    async def wait_down(self) -> None:
        """Return when the connection is gone; ``check`` then says why."""
        # Not the transport's wait_closed(): that one gives up after close_timeout.
        reading = self._transport.receive_data_task
        if reading is not None:
            await asyncio.wait({reading})

    def check(self) -> None:
        """Raise LinkDown or TokenRefused when the connection is gone."""
        if self._transport.close_exception is not None:
            raise _translate(self._transport.close_exception)

    async def _mutate(self, document: str, values: dict[str, Any]) -> dict[str, Any]:
        request = GraphQLRequest(_parsed(document), variable_values={"input": values})
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                data = await self._session.execute(request)
        except (TransportError, OSError, TimeoutError) as error:
            raise _translate(error) from error
        answer: dict[str, Any] = data["answer"]
        if "code" in answer:
            raise _refusal(answer["code"], answer["message"], answer["hint"], answer["retryable"])
        return answer


@cache
def _parsed(document: str) -> DocumentNode:
    return gql(document).document


@asynccontextmanager
async def open_link(url: str, token: str) -> AsyncIterator[Link]:
    """Open a WebSocket to the server at ``url``; it is closed at the end of the block.

    A transport is used once: gql's own reconnecting session repeats mutations and can hang for ever.
    Raises LinkDown or TokenRefused.
    """
    transport = WebsocketsTransport(
        websocket_url(url),
        init_payload={"authorization": f"Bearer {token}"},
        # gql offers the legacy protocol first, which knows no mutations.
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        close_timeout=1,
    )
    client = Client(transport=transport, execute_timeout=None)
    try:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                session = await client.connect_async(reconnecting=False)  # type: ignore[no-untyped-call]  # gql has no types here
        except (TransportError, OSError, TimeoutError) as error:
            raise _translate(error) from error
        yield Link(transport, session)
    finally:
        # The server may be gone; what is left of the socket is then the operating system's business.
        with suppress(TransportError, OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                await client.close_async()  # type: ignore[no-untyped-call]  # nor here


def websocket_url(url: str) -> str:
    """The GraphQL WebSocket address of a server given as ``http://host:port``. Raises ValueError."""
    parts = urlsplit(url)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"{url!r} is no server address; it should look like http://127.0.0.1:8080")
    path = parts.path.rstrip("/")
    if not path.endswith("/graphql"):
        path += "/graphql"
    return urlunsplit((schemes[parts.scheme], parts.netloc, path, parts.query, ""))


def _translate(error: Exception) -> Exception:
    """The exception of ours that a failure in gql or below it amounts to."""
    if isinstance(error, TransportQueryError):
        first: dict[str, Any] = (error.errors or [{}])[0]
        extensions = first.get("extensions") or {}
        code = extensions.get("code", "INTERNAL")
        # A fault of the server's own may be gone the next time.
        retryable = bool(extensions.get("retryable")) or code == "INTERNAL"
        return _refusal(code, str(first.get("message", error)), extensions.get("hint"), retryable)
    cause: BaseException | None = error
    while cause is not None:
        if (
            isinstance(cause, ConnectionClosed)
            and cause.rcvd is not None
            and cause.rcvd.code in _TOKEN_CLOSE_CODES
        ):
            return TokenRefused(cause.rcvd.reason or f"closed with code {cause.rcvd.code}")
        if isinstance(cause, InvalidStatus) and cause.response.status_code in _TOKEN_HTTP_STATUS:
            return TokenRefused(f"HTTP status {cause.response.status_code}")
        if isinstance(cause, ConnectionClosed | InvalidHandshake | InvalidURI | OSError) and str(cause):
            return LinkDown(str(cause))
        cause = cause.__cause__
    return LinkDown("no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error))


def _refusal(code: str, message: str, hint: str | None, retryable: bool) -> Exception:
    if code == "UNAUTHENTICATED":
        return TokenRefused(message)
    return Refused(code, message, hint, retryable)
