"""GraphQL over HTTP: POST and GET, one operation per request, JSON or an event stream as the answer."""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import orjson
from graphql import OperationType
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError, RequestRefused
from kici_gql.api.engine.operations import Operations, Prepared
from kici_gql.api.engine.ports import Authenticator, Viewer
from kici_gql.api.engine.requests import GraphQLRequest, MalformedRequest, read_request
from kici_gql.api.transport import credentials
from kici_gql.api.transport.gate import Gate
from kici_gql.api.transport.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accept, media_type
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.sse import EventStream
from kici_gql.errors import ErrorCode, Forbidden, KiciError, LimitExceeded, Unauthenticated

_TRANSPORTS = (
    "A subscription needs a transport that can stream: connect a WebSocket with the subprotocol "
    f"graphql-transport-ws to this address, or send the header `Accept: {EVENT_STREAM}`."
)
_UTF8 = {"utf-8", "utf8"}


class _Refused(Exception):
    """The request gets this status and these errors."""

    def __init__(
        self, status: int, errors: Sequence[FormattedError], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.errors = errors
        self.headers = headers or {}


def _refused(status: int, message: str, code: str = faults.BAD_REQUEST, **headers: str) -> _Refused:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _Refused(status, [faults.problem(message, code)], named)


class HttpEndpoint:
    """An ASGI application for `http` scopes."""

    def __init__(
        self, operations: Operations, auth: Authenticator, options: TransportOptions, gate: Gate
    ) -> None:
        self._operations = operations
        self._auth = auth
        self._options = options
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is raised but what the server has to know."""
        accept = Accept(Headers(scope=scope).get("accept"))
        request_id = faults.new_request_id()
        try:
            await self._respond(scope, receive, send, accept, request_id)
        except _Refused as refused:
            await _send_errors(send, refused.status, refused.errors, accept, refused.headers)
        except KiciError as error:
            status, headers = _status(error)
            await _send_errors(send, status, [faults.from_known(error)], accept, headers)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - goes out masked
            await _send_errors(send, 500, [faults.from_exception(error, request_id)], accept)

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send, accept: Accept, request_id: str
    ) -> None:
        headers = Headers(scope=scope)
        if scope["method"] not in {"GET", "POST"}:
            raise _refused(405, "Only GET and POST are supported.", allow="GET, POST")
        if accept.json is None and not accept.events:
            offered = f"{GRAPHQL_JSON}, {JSON}, {EVENT_STREAM}"
            raise _refused(406, f"None of the accepted media types can be given; there are {offered}.")
        found = credentials.from_headers(headers, self._options.session_cookie)
        viewer = await self._auth.authenticate(found.secret)
        request = await self._request(scope, receive, headers)
        prepared = self._prepared(request, accept)
        if prepared.kind is OperationType.MUTATION:
            if scope["method"] == "GET":
                raise _refused(405, "Mutations need POST.", allow="POST")
            if found.by_cookie and not headers.get(credentials.CSRF_HEADER):
                message = f"A mutation with a cookie needs the header `{credentials.CSRF_HEADER}: 1`."
                raise Forbidden(message)
        if prepared.kind is OperationType.SUBSCRIPTION and not accept.events:
            raise _refused(406, _TRANSPORTS)
        if prepared.kind is OperationType.SUBSCRIPTION or accept.json is None:
            await self._stream(receive, send, prepared, viewer)
        else:
            await self._answer(send, accept, prepared, viewer, request_id)

    def _prepared(self, request: GraphQLRequest, accept: Accept) -> Prepared:
        try:
            return self._operations.prepare(request)
        except RequestRefused as refused:
            raise _Refused(_request_error_status(accept), refused.errors) from None

    async def _answer(
        self, send: Send, accept: Accept, prepared: Prepared, viewer: Viewer, request_id: str
    ) -> None:
        try:
            result = await self._operations.run(prepared, viewer, request_id)
        except RequestRefused as refused:
            raise _Refused(_request_error_status(accept), refused.errors) from None
        await _send_json(send, 200, result.body, accept, {"x-request-id": request_id})

    async def _stream(self, receive: Receive, send: Send, prepared: Prepared, viewer: Viewer) -> None:
        if self._gate.draining:
            raise _refused(503, "The server is restarting.", ErrorCode.UNAVAILABLE, retry_after="5")
        releases = [self._gate.enter()]
        try:
            releases.append(self._gate.admit(viewer))
            releases.append(self._gate.subscribe(viewer))
            stream = EventStream(self._operations, self._auth, self._options, receive, send)
            self._gate.opened(stream)
            releases.append(lambda: self._gate.closed(stream))
            await stream.run(prepared, viewer)
        finally:
            for release in releases:
                release()

    async def _request(self, scope: Scope, receive: Receive, headers: Headers) -> GraphQLRequest:
        try:
            resume = headers.get("last-event-id")
            if scope["method"] == "GET":
                return read_request(_from_query(scope["query_string"]), resume)
            _check_content_type(headers)
            body = await _read_body(receive, headers, self._options)
            return read_request(orjson.loads(body), resume)
        except orjson.JSONDecodeError:
            raise _refused(400, "The request body is not valid JSON in UTF-8.") from None
        except MalformedRequest as error:
            raise _refused(400, str(error)) from None


def _request_error_status(accept: Accept) -> int:
    # With the old media type a client can't tell our 400 from one of a proxy, so the specification
    # lets every well-formed GraphQL answer be a 200 there.
    return 200 if accept.json == JSON else 400


def _status(error: KiciError) -> tuple[int, dict[str, str]]:
    match error:
        case Unauthenticated():
            return 401, {"www-authenticate": 'Bearer realm="kici-gql"'}
        case Forbidden():
            return 403, {"www-authenticate": 'Bearer realm="kici-gql", error="insufficient_scope"'}
        case LimitExceeded():
            return 429, {"retry-after": "1"}
    return (503, {"retry-after": "5"}) if error.retryable else (400, {})


def _from_query(query_string: bytes) -> dict[str, object]:
    parameters: dict[str, object] = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
    for name in ("variables", "extensions"):
        text = parameters.get(name)
        if isinstance(text, str):
            try:
                parameters[name] = orjson.loads(text) if text else None
            except orjson.JSONDecodeError:
                raise MalformedRequest(f'"{name}" must be a URL-encoded JSON object.') from None
    return parameters


def _check_content_type(headers: Headers) -> None:
    name, parameters = media_type(headers.get("content-type"))
    if name != JSON:
        raise _refused(415, f"A POST body must be {JSON}.", accept_post=JSON)
    if parameters.get("charset", "utf-8").lower() not in _UTF8:
        raise _refused(415, "The charset of the body must be UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _refused(415, "Compressed bodies are not supported.", accept_encoding="identity")


async def _read_body(receive: Receive, headers: Headers, options: TransportOptions) -> bytes:
    limit = options.max_body_bytes
    message = f"The body is too large: the limit is max_body_bytes={limit}."
    # Closing is the only way to make a client stop sending what nobody will read.
    too_large = _refused(413, message, ErrorCode.LIMIT_EXCEEDED, connection="close")
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(options.body_seconds):
            while True:
                part = await receive()
                if part["type"] == "http.disconnect":
                    raise ConnectionResetError("the client left before its body was complete")
                chunks.append(part.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise too_large
                if not part.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        seconds = f"body_seconds={options.body_seconds:g}"
        raise _refused(408, f"The body took too long: the limit is {seconds}.", connection="close") from None


async def _send_errors(
    send: Send,
    status: int,
    errors: Sequence[FormattedError],
    accept: Accept,
    headers: Mapping[str, str] | None = None,
) -> None:
    await _send_json(send, status, orjson.dumps({"errors": list(errors)}), accept, headers or {})


async def _send_json(
    send: Send, status: int, body: bytes, accept: Accept, headers: Mapping[str, str]
) -> None:
    all_headers = {
        "content-type": f"{accept.json or JSON}; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "vary": "Accept, Authorization, Cookie",
        **headers,
    }
    raw = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
