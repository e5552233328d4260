"""Hosting of the web view in `web/`: its files, its addresses, and the cookie that signs a browser in."""

import secrets
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from kici_gql.auth import Authenticator, Viewer
from kici_gql.errors import KiciError

COOKIE = "kici_session"
CSRF_HEADER = "x-kici-csrf"
_ORG_COOKIE = (
    "kici_org_"  # and the org's slug: the token by which this browser came in, sent to /session alone
)
_SESSION_PATH = "/session"
_MAX_ORGS = 20
_COOKIE_SECONDS = 30 * 24 * 3600
_MAX_SIGN_IN_BYTES = 4096

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def web_folder() -> Path:
    """Where the files are: inside an installed package, or beside it in the source tree."""
    packaged = Path(str(files("kici_gql"))) / "_web"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "web"


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def web_routes() -> list[BaseRoute]:
    """The view's own addresses all show the same page, which reads the rest of the address itself."""
    folder = web_folder()

    async def page(_: Request) -> Response:
        return FileResponse(folder / "index.html", headers=_HEADERS)

    async def playground(_: Request) -> Response:
        return FileResponse(folder / "playground.html", headers=_HEADERS)

    pages = ["/", "/sign-in", "/orgs/{rest:path}", "/runs/{rest:path}"]
    return [
        *(Route(address, page) for address in pages),
        Route("/playground", playground),
        Mount("/assets", _Files(directory=folder / "assets", check_dir=False)),
    ]


class SessionRoutes:
    """Signing a browser in: the token becomes an `HttpOnly` cookie, which no script can read.

    A browser that signed in to several orgs keeps a cookie of each and switches between them. A one-time link signs in
    without typing, for `kici-gql demo`; it works once, in this process.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._links: dict[str, str] = {}

    def one_time_link(self, secret: str) -> str:
        """Path of a link that signs in whoever opens it first."""
        code = secrets.token_urlsafe(24)
        self._links[code] = secret
        return f"/sign-in/{code}"

    def routes(self) -> list[BaseRoute]:
        return [
            Route(_SESSION_PATH, self._orgs, methods=["GET"]),
            Route(_SESSION_PATH, self._sign_in, methods=["POST"]),
            Route(_SESSION_PATH, self._sign_out, methods=["DELETE"]),
            Route("/sign-in/{code}", self._open_link),
        ]

    async def _orgs(self, request: Request) -> Response:
        """The orgs that this browser is signed in to: `{"orgs": ["acme"]}`."""
        names = [name for name in request.cookies if name.startswith(_ORG_COOKIE)][:_MAX_ORGS]
        viewers = [await self._viewer(request.cookies[name]) for name in names]
        orgs = sorted({viewer.org_slug for viewer in viewers if isinstance(viewer, Viewer)})
        return JSONResponse({"orgs": orgs}, headers={"Cache-Control": "no-store"})

    async def _sign_in(self, request: Request) -> Response:
        """Body: `{"token": "kgq_…"}`, or `{"org": "acme"}` for an org that this browser is signed in to."""
        if CSRF_HEADER not in request.headers:
            return _problem(403, f"the header {CSRF_HEADER} is missing")
        sent = await _sent(request)
        token = sent.get("token") or request.cookies.get(f"{_ORG_COOKIE}{sent.get('org')}")
        if sent.get("org") and not token:
            return _problem(401, "this browser is not signed in to that org")
        if not isinstance(token, str) or not token:
            return _problem(400, 'send {"token": "kgq_…"} as JSON')
        viewer = await self._viewer(token)
        if isinstance(viewer, KiciError):
            return _problem(401, viewer.message)
        answer = JSONResponse({"org": viewer.org_slug, "scope": viewer.scope})
        return _with_cookies(answer, request, token, viewer.org_slug)

    async def _sign_out(self, request: Request) -> Response:
        """Out of every org."""
        if CSRF_HEADER not in request.headers:
            return _problem(403, f"the header {CSRF_HEADER} is missing")
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        for name in request.cookies:
            if name.startswith(_ORG_COOKIE):
                response.delete_cookie(name, path=_SESSION_PATH, httponly=True, samesite="strict")
        return response

    async def _viewer(self, token: str) -> Viewer | KiciError:
        try:
            return await self._authenticator.authenticate(token)
        except KiciError as error:
            return error

    async def _open_link(self, request: Request) -> Response:
        secret = self._links.pop(request.path_params["code"], None)
        if secret is None:
            return PlainTextResponse("This link has been used. Restart the demo for a new one.\n", 410)
        viewer = await self._viewer(secret)
        if isinstance(viewer, KiciError):
            return PlainTextResponse(f"{viewer.message}\n", 401)
        response = RedirectResponse("/", status_code=303, headers={"Cache-Control": "no-store"})
        return _with_cookies(response, request, secret, viewer.org_slug)


async def _sent(request: Request) -> dict[str, Any]:
    """The body as an object; empty when it is none, or too large to be one of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_SIGN_IN_BYTES:
            return {}
    try:
        sent: Any = orjson.loads(body)
    except ValueError:
        return {}
    return sent if isinstance(sent, dict) else {}


def _with_cookies(response: Response, request: Request, secret: str, org_slug: str) -> Response:
    for name, path in ((COOKIE, "/"), (f"{_ORG_COOKIE}{org_slug}", _SESSION_PATH)):
        response.set_cookie(
            name,
            secret,
            max_age=_COOKIE_SECONDS,
            path=path,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
