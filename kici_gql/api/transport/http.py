"""GraphQL over HTTP: POST and GET, one operation per request, JSON or an event stream as the answer."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError, RequestRefused
from kici_gql.api.engine.operations import Operations, Prepared
from kici_gql.api.engine.ports import Authenticator, Viewer
from kici_gql.api.engine.requests import GraphQLRequest, MalformedRequest, read_request
from kici_gql.api.transport import credentials
from kici_gql.api.transport.bodies import check_content_type, read_body
from kici_gql.api.transport.gate import Gate
from kici_gql.api.transport.headers import Headers, headers_of
from kici_gql.api.transport.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accept, accepted_by
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.refusals import HttpRefused, refused
from kici_gql.api.transport.sse import EventStream
from kici_gql.errors import ErrorCode, Forbidden, Internal, KiciError, LimitExceeded, Unauthenticated

_CONTENT_TYPE = {name: (b"content-type", f"{name}; charset=utf-8".encode()) for name in (JSON, GRAPHQL_JSON)}
_VARY = (b"vary", b"Accept, Authorization, Cookie")
_NO_STORE = (b"cache-control", b"no-store")
_TRANSPORTS = (
    "A subscription needs a transport that can stream: connect a WebSocket with the subprotocol "
    f"graphql-transport-ws to this address, or send the header `Accept: {EVENT_STREAM}`."
)


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
        headers = headers_of(scope)
        accept = accepted_by(headers.get("accept"))
        request_id = faults.new_request_id()
        try:
            await self._respond(scope, receive, send, headers, accept, request_id)
        except HttpRefused as refusal:
            await _send_errors(send, refusal.status, refusal.errors, accept, refusal.headers)
        except KiciError as error:
            status, headers = _status(error)
            await _send_errors(send, status, [faults.from_known(error)], accept, headers)
        except ConnectionResetError:
            return  # a page that was closed while it asked: there is nobody to answer
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - goes out masked
            await _send_errors(send, 500, [faults.from_exception(error, request_id)], accept)

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, accept: Accept, request_id: str
    ) -> None:
        if scope["method"] not in {"GET", "POST"}:
            raise refused(405, "Only GET and POST are supported.", allow="GET, POST")
        if accept.json is None and not accept.events:
            offered = f"{GRAPHQL_JSON}, {JSON}, {EVENT_STREAM}"
            raise refused(406, f"None of the accepted media types can be given; there are {offered}.")
        found = credentials.from_headers(headers, self._options.session_cookie)
        viewer = await self._viewer(found.secret, request_id)
        request = await self._request(scope, receive, headers)
        prepared = self._prepared(request, accept)
        if prepared.kind is OperationType.MUTATION:
            if scope["method"] == "GET":
                raise refused(405, "Mutations need POST.", allow="POST")
            if found.by_cookie and not headers.get(credentials.CSRF_HEADER):
                message = f"A mutation with a cookie needs the header `{credentials.CSRF_HEADER}: 1`."
                raise Forbidden(message)
        if prepared.kind is OperationType.SUBSCRIPTION and not accept.events:
            raise refused(406, _TRANSPORTS)
        if prepared.kind is OperationType.SUBSCRIPTION or accept.json is None:
            await self._stream(scope, receive, send, prepared, viewer)
        else:
            have = headers.get("if-none-match") if scope["method"] == "GET" else None
            await self._answer(send, accept, prepared, viewer, request_id, have)

    async def _viewer(self, secret: str | None, request_id: str) -> Viewer:
        try:
            return await self._auth.authenticate(secret)
        except KiciError:
            raise
        except Exception as error:  # noqa: BLE001 - a lost database is an OSError too, and no lost client
            raise HttpRefused(500, [faults.from_exception(error, request_id)]) from None

    def _prepared(self, request: GraphQLRequest, accept: Accept) -> Prepared:
        try:
            return self._operations.prepare(request)
        except RequestRefused as refusal:
            raise HttpRefused(_request_error_status(accept), refusal.errors) from None

    async def _answer(
        self,
        send: Send,
        accept: Accept,
        prepared: Prepared,
        viewer: Viewer,
        request_id: str,
        have: str | None,
    ) -> None:
        try:
            result = await self._operations.run(prepared, viewer, request_id, _tags(have))
        except RequestRefused as refusal:
            raise HttpRefused(_request_error_status(accept), refusal.errors) from None
        extra = {"x-request-id": request_id}
        if result.tag is not None:
            # Kept by whoever asked and by nobody between, and asked about each time.
            extra |= {"etag": f'"{result.tag}"', "cache-control": "private, no-cache"}
        await _send_json(send, 304 if result.unchanged else 200, result.body, accept, extra)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, prepared: Prepared, viewer: Viewer
    ) -> None:
        if self._gate.draining:
            raise refused(503, "The server is restarting.", ErrorCode.UNAVAILABLE, retry_after="5")
        releases = [self._gate.enter()]
        try:
            releases.append(self._gate.admit(viewer))
            releases.append(self._gate.subscribe(viewer))
            stream = EventStream(self._operations, self._auth, self._options, scope, receive, send)
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
            check_content_type(headers)
            body = await read_body(scope, receive, headers, self._options)
            return read_request(orjson.loads(body), resume)
        except orjson.JSONDecodeError:
            raise refused(400, "The request body is not valid JSON in UTF-8.") from None
        except MalformedRequest as error:
            raise refused(400, str(error)) from None


def _tags(have: str | None) -> frozenset[str]:
    """The tags of an If-None-Match, weak ones too: an answer is the same byte for byte or another."""
    if have is None:
        return frozenset()
    return frozenset(each.strip().removeprefix("W/").strip('"') for each in have.split(","))


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
        case Internal():
            return 500, {}
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
    raw = [
        _CONTENT_TYPE[accept.json or JSON],
        # A 304 may only tell the length that the 200 would have had.
        *([(b"content-length", b"%d" % len(body))] if status != 304 else []),
        _VARY,
        *[(name.encode(), value.encode()) for name, value in headers.items()],
    ]
    if "cache-control" not in headers:
        raw.append(_NO_STORE)
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
