"""Nothing but Starlette: each POST to /push sends twenty ready-made events to every socket, each as its own frame.

GET /tree answers ready-made bytes.
"""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

EVENTS = 20
TEXT = (
    '{"id":"1","type":"next","payload":{"agentId":"'
    + "x" * (int(os.environ["BENCH_EVENT_BYTES"]) - 60)
    + '"}}'
)
TREE = b"x" * int(os.environ.get("BENCH_TREE_BYTES", "0"))
sockets: set[WebSocket] = set()


async def follow(socket: WebSocket) -> None:
    await socket.accept(subprotocol="graphql-transport-ws")
    sockets.add(socket)
    async for _ in socket.iter_text():
        pass


async def push(_: Request) -> JSONResponse:
    for _event in range(EVENTS):
        for socket in sockets:
            await socket.send_text(TEXT)
    return JSONResponse({})


async def tree(_: Request) -> Response:
    return Response(TREE, media_type="application/json")


if __name__ == "__main__":
    app = Starlette(
        routes=[
            Route("/push", push, methods=["POST"]),
            Route("/tree", tree),
            WebSocketRoute("/graphql", follow),
        ],
    )
    uvicorn.run(
        app,
        port=int(os.environ["BENCH_PORT"]),
        log_level="warning",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        timeout_keep_alive=75,
    )
