"""What `kici-gql doctor` looks at, one check after the other; each answers with what it found and what would be right."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Any

import aiohttp
import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from kici_gql.cli.live import websocket_url

SKEW_WORTH_SAYING = timedelta(seconds=2)
SKEW_TOO_MUCH = timedelta(seconds=60)
EXPIRY_WORTH_SAYING = timedelta(days=7)
SLOW_SECONDS = 1.0

# A snapshot of nothing but its frame: so short that even a small buffer on the way holds it back.
_STREAM = "subscription { alerts { kind cursor } }"
_WHO = (
    "{ viewer { tokenName scope clusterName expiresAt org { slug } } serverInfo { version time database } }"
)
_MAX_BODY_BYTES = 1_048_576


class Status(StrEnum):
    OK = "ok"
    WARNING = "warn"
    FAILED = "FAIL"
    SKIPPED = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `right` says what would be right, where something isn't."""

    status: Status
    check: str
    text: str
    right: str | None = None

    def __str__(self) -> str:
        line = f"{self.status:<4}  {self.check:<9}  {self.text}"
        return line if self.right is None else f"{line}\n{'':17}→ {self.right}"


class _Wrong(Exception):
    """A check failed. `check` is set where another one than that which ran is to blame."""

    def __init__(self, text: str, right: str, check: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.right = right
        self.check = check

    def finding(self, check: str) -> Finding:
        return Finding(Status.FAILED, self.check or check, self.text, self.right)


@dataclass(slots=True)
class _Patient:
    """The server as it is reached from here."""

    url: str
    token: str
    seconds: float
    http: aiohttp.ClientSession

    @property
    def graphql(self) -> str:
        return f"{self.url}/graphql"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def examine(url: str, token: str, seconds: float) -> AsyncIterator[Finding]:
    """All findings, as they are made. Each check may take `seconds`."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        patient = _Patient(url, token, seconds, http)
        reached = await _checked("healthz", patient, _health)
        yield reached
        if reached.status is Status.FAILED:
            for check in ("readyz", "http", "websocket", "sse"):
                yield Finding(Status.SKIPPED, check, "the server was not reached")
            return
        yield await _checked("readyz", patient, _readiness)
        scope: str | None = None
        try:
            answer, began, ended = await _who(patient)
        except _Wrong as wrong:
            yield wrong.finding("http")
        else:
            viewer, server = answer["viewer"], answer["serverInfo"]
            scope = viewer["scope"]
            took = f"{(ended - began).total_seconds() * 1000:.0f} ms"
            yield _timely(
                "http",
                (ended - began).total_seconds(),
                f"answered a query in {took}; kici_gql {server['version']} on {server['database']}",
            )
            yield clock_finding(_moment(server["time"]), began, ended)
            yield token_finding(viewer, ended)
        yield await _checked("websocket", patient, _websocket_of(scope))
        yield await _checked("sse", patient, _events_of(scope))


async def _checked(check: str, patient: _Patient, look: Callable[[_Patient], Awaitable[Finding]]) -> Finding:
    try:
        return await look(patient)
    except _Wrong as wrong:
        return wrong.finding(check)


def _timely(check: str, took: float, text: str) -> Finding:
    if took <= SLOW_SECONDS:
        return Finding(Status.OK, check, text)
    return Finding(
        Status.WARNING, check, text, "It works, but slowly: see the load of the server and of its database."
    )


# ── The checks ──


async def _health(patient: _Patient) -> Finding:
    began = monotonic()
    response, body = await _fetch(patient, "GET", f"{patient.url}/healthz")
    if response.status != 200 or body.strip() != b"ok":
        raise _Wrong(
            f"something answers at {patient.url}, but /healthz says {response.status} {_shown(body)!r}",
            "This is no kici_gql, or a proxy that does not pass /healthz on: check the address, the port and the proxy.",
        )
    took = monotonic() - began
    return _timely("healthz", took, f"reached {patient.url} in {took * 1000:.0f} ms")


async def _readiness(patient: _Patient) -> Finding:
    response, body = await _fetch(patient, "GET", f"{patient.url}/readyz")
    try:
        said = json.loads(body)
        problems, bus = list(said["problems"]), bool(said["bus"])
    except (ValueError, KeyError, TypeError):
        raise _Wrong(
            f"/readyz says {response.status} {_shown(body)!r}",
            "Let the proxy pass /readyz on to kici_gql unchanged.",
        ) from None
    if "database" in problems:
        raise _Wrong(
            "the server can't reach its database",
            "Start the database, and compare KICI_GQL_DATABASE_URL with where it is.",
        )
    if problems:
        raise _Wrong(f"the server is not ready: {', '.join(problems)}", "Wait until it has restarted.")
    if not bus:
        return Finding(
            Status.WARNING, "readyz", "ready, but the bus between the server's processes is down",
            "Changes made through another process come up to 5 s late: start Redis, and check KICI_GQL_BROADCAST_URL.",
        )  # fmt: skip
    return Finding(Status.OK, "readyz", "database and bus answer")


async def _who(patient: _Patient) -> tuple[dict[str, Any], datetime, datetime]:
    """The answer to `_WHO`, and when it was asked and came, by our clock."""
    if not patient.token:
        raise _Wrong(
            "none was given", "Set KICI_GQL_TOKEN; `kici-gql token create NAME` makes a token.", check="token"
        )
    began, since = datetime.now(UTC), monotonic()
    response, body = await _fetch(
        patient, "POST", patient.graphql, json={"query": _WHO}, headers=patient.authorization
    )
    ended = began + timedelta(seconds=monotonic() - since)
    if response.status in {401, 403}:
        raise _token_refused(_first_message(body))
    try:
        return json.loads(body)["data"] | {}, began, ended
    except (ValueError, KeyError, TypeError):
        raise _Wrong(
            f"POST /graphql says {response.status} {_first_message(body)!r}",
            "Let the proxy pass POST /graphql on with its body and its Authorization header; "
            "if it does, the server's log says more.",
        ) from None


def _token_refused(message: str) -> _Wrong:
    return _Wrong(
        f"the server refuses it: {message}",
        "Check that it is complete (it starts with kgq_) and from this server; "
        "`kici-gql token list` shows which are valid, `kici-gql token create NAME` makes a new one.",
        check="token",
    )


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
    left = _moment(viewer["expiresAt"]) - now
    text += f", expires {viewer['expiresAt'][:10]}"
    if left <= EXPIRY_WORTH_SAYING:
        return Finding(
            Status.WARNING, "token", f"{text}, in {left.days} d {left.seconds // 3600} h",
            "Make a new one with `kici-gql token create` and put it in place before that; streams end when it expires.",
        )  # fmt: skip
    return Finding(Status.OK, "token", text)


def _websocket_of(scope: str | None) -> Callable[[_Patient], Awaitable[Finding]]:
    async def look(patient: _Patient) -> Finding:
        if scope is None:
            return Finding(Status.SKIPPED, "websocket", "there is no valid token to open one with")
        try:
            async with asyncio.timeout(patient.seconds):
                return await _first_frame(patient, _STREAM if scope != "ORCHESTRATOR" else _WHO)
        except TimeoutError:
            raise _Wrong(
                f"nothing came over the WebSocket in {patient.seconds:g} s",
                "Let the proxy pass the upgrade and what follows on at once (nginx: proxy_http_version 1.1, Upgrade, "
                "Connection; see docs/operations.md).",
            ) from None
        except InvalidStatus as error:
            raise _handshake_refused(error, patient.url) from None
        except ConnectionClosed as error:
            frame = error.rcvd
            raise _Wrong(
                f"the WebSocket was closed with {frame.code} {frame.reason!r}"
                if frame
                else "the WebSocket was cut",
                "docs/subscriptions.md lists what each close code asks for; without one, look at the proxy's log.",
            ) from None
        except (OSError, InvalidHandshake, EOFError) as error:
            raise _Wrong(
                f"no WebSocket could be opened: {error}",
                "Let the proxy pass WebSockets on /graphql (docs/operations.md has a configuration for nginx).",
            ) from None

    return look


async def _first_frame(patient: _Patient, query: str) -> Finding:
    began = monotonic()
    async with websockets.connect(
        websocket_url(patient.url),
        subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
        origin=websockets.Origin(_origin(patient.url)),  # as the web view, which the proxy must not break
        proxy=None,
        open_timeout=None,
        close_timeout=1,
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": patient.authorization}))
        request = {"type": "subscribe", "id": "1", "payload": {"query": query}}
        while (message := json.loads(await socket.recv()))["type"] not in {"next", "error"}:
            if message["type"] == "connection_ack":
                await socket.send(json.dumps(request))
        took = monotonic() - began
    if message["type"] == "error":
        raise _Wrong(
            f"the operation was refused: {message['payload'][0]['message']}",
            "The message says what to change.",
        )
    what = "first frame" if query is _STREAM else "answer"
    return _timely("websocket", took, f"{what} after {took * 1000:.0f} ms")


def _handshake_refused(error: InvalidStatus, url: str) -> _Wrong:
    response = error.response
    message = _first_message(bytes(response.body or b""))
    if response.status_code == 403 and "origin" in message:
        return _Wrong(
            f"the server does not take {_origin(url)} for an origin of its own, so browsers can't connect",
            "Let the proxy pass the Host header on unchanged (nginx: proxy_set_header Host $http_host), "
            f"""or set KICI_GQL_ALLOWED_ORIGINS='["{_origin(url)}"]'.""",
        )
    return _Wrong(
        f"the handshake was answered with {response.status_code} {message!r}",
        "Let the proxy pass the headers Upgrade, Connection and Sec-WebSocket-Protocol on for /graphql "
        "(docs/operations.md has a configuration for nginx).",
    )


def _events_of(scope: str | None) -> Callable[[_Patient], Awaitable[Finding]]:
    async def look(patient: _Patient) -> Finding:
        if scope is None:
            return Finding(Status.SKIPPED, "sse", "there is no valid token to open a stream with")
        if scope == "ORCHESTRATOR":
            return Finding(
                Status.SKIPPED,
                "sse",
                "a token of scope ORCHESTRATOR reads no stream; use another to check this",
            )
        began = monotonic()
        headers = patient.authorization | {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
        try:
            async with (
                asyncio.timeout(patient.seconds),
                patient.http.post(patient.graphql, json={"query": _STREAM}, headers=headers) as response,
            ):
                _check_encoding(response)
                _check_events(response, await _until_event(response))
        except TimeoutError:
            raise _Wrong(
                f"the stream brought nothing in {patient.seconds:g} s, while the server sends its first frame at once: "
                "something on the way buffers it",
                "Switch response buffering and compression off for /graphql (nginx: proxy_buffering off; gzip off).",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(patient.url, error) from None
        took = monotonic() - began
        return _timely("sse", took, f"first frame after {took * 1000:.0f} ms; nothing on the way buffers")

    return look


async def _until_event(response: aiohttp.ClientResponse) -> bytes:
    """What has come when the first event is complete, or all there is."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if b"event: next" in body and body.endswith(b"\n\n"):
            break
        if response.content_type != "text/event-stream" and len(body) > _MAX_BODY_BYTES:
            break
    return body


def _check_encoding(response: aiohttp.ClientResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise _Wrong(
            f"something on the way compresses the stream ({encoding}), and may hold frames back",
            "Switch compression of text/event-stream off (nginx: gzip off for /graphql).",
        )


def _check_events(response: aiohttp.ClientResponse, body: bytes) -> None:
    if response.status != 200 or response.content_type != "text/event-stream":
        raise _Wrong(
            f"the request for a stream was answered with {response.status} {response.content_type}: "
            f"{_first_message(body)!r}",
            "Let the proxy pass the Accept header and the answer's Content-Type on.",
        )
    if b'"kind":"SNAPSHOT"' not in body:
        raise _Wrong(f"the first frame is no snapshot: {_shown(body)!r}", "The server's log says more.")


# ── On the wire ──


async def _fetch(
    patient: _Patient, method: str, url: str, **more: Any
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Raises _Wrong, in words, when there is no answer or a redirection."""
    try:
        async with (
            asyncio.timeout(patient.seconds),
            patient.http.request(method, url, allow_redirects=False, **more) as response,
        ):
            body = await response.content.read(_MAX_BODY_BYTES)
    except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
        raise _unreachable(patient.url, error, patient.seconds) from None
    if 300 <= response.status < 400:
        raise _Wrong(
            f"{url} redirects to {response.headers.get('Location', 'nowhere')}",
            "Give the address that it redirects to: a POST and a WebSocket do not follow.",
        )
    return response, body


def _unreachable(url: str, error: Exception, seconds: float | None = None) -> _Wrong:
    match error:
        case TimeoutError():
            return _Wrong(
                f"{url} did not answer in {seconds:g} s",
                "A firewall may drop the packets, or the server hangs: try from its own machine.",
            )
        case aiohttp.ClientConnectorDNSError():
            return _Wrong(f"the name in {url} is unknown here", "Check the spelling, and the DNS.")
        case aiohttp.ClientConnectorCertificateError():
            return _Wrong(
                f"the certificate of {url} is not trusted: {_tls(error.certificate_error)}",
                "Serve the whole chain; for an authority of your own set SSL_CERT_FILE to its certificate.",
            )
        case aiohttp.ClientConnectorSSLError():
            return _Wrong(
                f"{url} does not speak TLS: {error.os_error}", "Use http://, or the port that has TLS."
            )
        case aiohttp.ClientConnectorError():
            return _Wrong(
                f"nothing listens at {url}: {error.os_error.strerror or error.os_error}",
                "Start `kici-gql serve`, and compare its --host and --port with the address; "
                "it listens on loopback only unless told otherwise.",
            )
        case _:
            return _Wrong(
                f"{url} does not answer in HTTP: {str(error) or type(error).__name__}",
                "Check the port, and whether it wants https://.",
            )


def _tls(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)


def _first_message(body: bytes) -> str:
    """The message of the first GraphQL error, or the beginning of whatever came."""
    try:
        return str(json.loads(body)["errors"][0]["message"])
    except (ValueError, KeyError, TypeError, IndexError):
        return _shown(body)


def _shown(body: bytes) -> str:
    return body[:80].decode(errors="replace")


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
