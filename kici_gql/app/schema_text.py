"""`/schema.graphql`: the contract as text, for code generators and linters. As introspection, it needs a token."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kici_gql.api.schema import sdl
from kici_gql.api.transport import credentials
from kici_gql.auth import Authenticator
from kici_gql.errors import KiciError, Unauthenticated
from kici_gql.web import COOKIE


def schema_route(authenticator: Authenticator) -> Route:
    printed: list[str] = []

    async def schema(request: Request) -> Response:
        found = credentials.from_headers(Headers(scope=request.scope), COOKIE)
        try:
            await authenticator.authenticate(found.secret)
        except KiciError as error:
            status = 401 if isinstance(error, Unauthenticated) else 503
            return JSONResponse({"error": error.message, "hint": error.hint}, status_code=status)
        if not printed:
            printed.append(sdl())  # takes a moment, so it is done once and not at every start
        return PlainTextResponse(printed[0], media_type="application/graphql")

    return Route("/schema.graphql", schema)
