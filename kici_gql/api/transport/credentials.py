"""Where a token may travel: a header, the cookie of the web view, the payload of `connection_init`. Never a URL."""

from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kici_gql.api.transport.headers import Headers

CSRF_HEADER = "x-kici-csrf"
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Found(NamedTuple):
    """`by_cookie`: the browser added it by itself, so it proves nothing about who wrote the request."""

    secret: str | None
    by_cookie: bool = False


def from_headers(headers: Headers, cookie_name: str) -> Found:
    """The header wins over the cookie."""
    authorization = headers.get("authorization")
    if authorization is not None:
        return Found(bearer(authorization))
    secret = _cookie(headers.get("cookie", ""), cookie_name)
    return Found(secret, by_cookie=secret is not None)


def from_init(payload: Mapping[str, Any]) -> str | None:
    """`{"Authorization": "Bearer …"}` in any case, or `{"token": "…"}`."""
    for name, value in payload.items():
        if isinstance(value, str):
            if name.lower() == "authorization":
                return bearer(value)
            if name == "token":
                return value
    return None


def bearer(value: str) -> str:
    """The token of `Bearer …`; whatever has another scheme is returned whole and will not be valid."""
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else value


def _cookie(header: str, name: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return morsel.value if morsel is not None else None


def origin_allowed(headers: Headers, allowed: Sequence[str]) -> bool:
    """Whether the page that opens this socket may: ours, one of the allowed ones, or no page at all.

    The scheme is not compared, for behind a proxy that ends TLS we don't know our own.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin in allowed or "*" in allowed:
        return True
    return _authority(origin) is not None and _authority(origin) == _authority(
        f"//{headers.get('host', '')}", origin
    )


def _authority(url: str, scheme_of: str | None = None) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        default = _DEFAULT_PORTS.get(urlsplit(scheme_of or url).scheme)
        return (parts.hostname, parts.port or default) if parts.hostname else None
    except ValueError:
        return None
