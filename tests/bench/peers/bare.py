"""Nothing but Starlette: each POST to /push sends twenty ready-made events to every socket, each as its own frame."""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

EVENTS = 20
TEXT = (
    '{"id":"1","type":"next","payload":{"agentId":"'
    + "x" * (int(os.environ["BENCH_EVENT_BYTES"]) - 60)
    + '"}}'
)
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


if __name__ == "__main__":
    app = Starlette(
        routes=[Route("/push", push, methods=["POST"]), WebSocketRoute("/graphql", follow)],
    )
    uvicorn.run(
        app,
        port=int(os.environ["BENCH_PORT"]),
        log_level="warning",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )
