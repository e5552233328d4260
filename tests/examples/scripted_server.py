"""A server that does as it is told: for the failures that a real one doesn't produce on demand."""

import asyncio
import json
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

Answer = dict[str, Any]

CONNECTED: Answer = {
    "__typename": "OrchestratorConnectSuccess",
    "connectionId": "c-1",
    "clusterName": "cluster-0a1b2c",
    "orchestrator": {"cluster": {"id": "clu_1", "pendingName": None}},
    "heartbeatIntervalSeconds": 1,
    "replayed": False,
}
FINE: Answer = {"__typename": "Success", "unknownAgents": [], "heartbeatIntervalSeconds": 1}


class HangUp(Exception):
    """The script's wish to drop the connection instead of answering."""


class ScriptedServer:
    """Speaks graphql-transport-ws. Mutations are answered from ``answers``, else with success.

    Each subscription plays the next of ``streams``: frames of its field ``root``, and at its end a close code, or the word ``complete`` or
    ``error``; without an end it stays open.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[Answer | type[HangUp]]] = {}
        self.subscriptions: list[dict[str, Any]] = []
        self.streams: list[list[Answer | int | str]] = []
        self.init_payloads: list[dict[str, Any]] = []
        self.root = "stream"
        self.init_close_code: int | None = None
        self.port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent(self, name: str) -> list[dict[str, Any]]:
        """The inputs of all mutations ``orchestrator<name>`` so far."""
        return [values for call, values in self.calls if call == name]

    async def start(self) -> None:
        protocols = [Subprotocol("graphql-transport-ws")]
        self._server = await serve(self._serve, "127.0.0.1", self.port, subprotocols=protocols)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "connection_init":
                self.init_payloads.append(message["payload"])
                if self.init_close_code is not None:
                    await socket.close(self.init_close_code, "Forbidden")
                    return
                await socket.send('{"type": "connection_ack"}')
            elif message["type"] == "subscribe" and "subscription" in message["payload"]["query"]:
                self.subscriptions.append(message["payload"]["variables"])
                await self._play(socket, message["id"])
            elif message["type"] == "subscribe":
                await self._answer(socket, message["id"], message["payload"])

    async def _play(self, socket: ServerConnection, id_: str) -> None:
        for step in self.streams.pop(0) if self.streams else []:
            match step:
                case dict():
                    await _send(socket, id_, "next", {"data": {self.root: step}})
                case int():
                    await asyncio.sleep(0.01)  # so that the frames before it are read
                    await socket.close(step, "as told")
                case "error":
                    await _send(socket, id_, "error", [{"message": "no such field"}])
                case _:
                    await _send(socket, id_, "complete")

    async def _answer(self, socket: ServerConnection, id_: str, payload: dict[str, Any]) -> None:
        name = payload["query"].split("answer: orchestrator")[1].split("(")[0]
        self.calls.append((name, payload["variables"]["input"]))
        scripted = self.answers.get(name)
        answer = scripted.pop(0) if scripted else (CONNECTED if name == "Connect" else FINE)
        if not isinstance(answer, dict):
            await socket.close(1011)
            return
        await _send(socket, id_, "next", {"data": {"answer": answer}})
        await _send(socket, id_, "complete")


async def _send(socket: ServerConnection, id_: str, kind: str, payload: object = None) -> None:
    message = {"id": id_, "type": kind} | ({} if payload is None else {"payload": payload})
    await socket.send(json.dumps(message))
