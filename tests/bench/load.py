"""The load: keep-alive HTTP connections that push, and sockets that do nothing but count what arrives."""

import base64
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

EVENTS_PER_PUSH = 20
MARKER = b'"agentId":'
_BUFFER = bytearray(4 * 1024 * 1024)
_VIEW = memoryview(_BUFFER)


def http_request(path: str, body: bytes, token: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def post(port: int, payload: object, token: str = "", path: str = "/graphql") -> Any:
    """One request, its answer decoded."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(60)
        connection.sendall(http_request(path, orjson.dumps(payload), token))
        return orjson.loads(_response(connection))


def _response(connection: socket.socket) -> bytes:
    data = b""
    while True:
        data += connection.recv(1 << 20)
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= _content_length(head):
            return body


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.index(b"content-length:") + 15
    end = lower.find(b"\r\n", start)
    return int(lower[start : None if end < 0 else end])


class Pusher:
    """One keep-alive connection. `next_body` gives each request's body; `on_answer` may ask for the next one."""

    def __init__(
        self,
        port: int,
        token: str,
        next_body: Callable[[], bytes],
        on_answer: "Callable[[Pusher], None]" = lambda _: None,
        path: str = "/graphql",
    ) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = 0
        self.waiting = False
        self.latencies: list[float] = []
        self.last_answer = b""
        self._token = token
        self._path = path
        self._next_body = next_body
        self._on_answer = on_answer
        self._sent_at = 0.0
        self._data = b""

    def push(self) -> None:
        self.waiting = True
        self._sent_at = time.perf_counter()
        self.connection.sendall(http_request(self._path, self._next_body(), self._token))

    def readable(self) -> None:
        chunk = self.connection.recv(1 << 20)
        if not chunk:
            raise ConnectionResetError("the server closed a pushing connection")
        self._data += chunk
        head, found, body = self._data.partition(b"\r\n\r\n")
        if found and len(body) >= _content_length(head):
            self._data = b""
            self.last_answer = body
            self.waiting = False
            self.answers += 1
            self.latencies.append(time.perf_counter() - self._sent_at)
            self._on_answer(self)


class Control:
    """One connection to the C program: `p` asks for a page of events to all readers, a byte answers."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = 0
        self.waiting = False
        self.latencies: list[float] = []
        self._sent_at = 0.0
        self.connection.sendall(b"c")  # no reader, from here on
        self.connection.recv(1)

    def push(self) -> None:
        self.waiting = True
        self._sent_at = time.perf_counter()
        self.connection.sendall(b"p")

    def readable(self) -> None:
        if not self.connection.recv(1):
            raise ConnectionResetError("the server closed a pushing connection")
        self.waiting = False
        self.answers += 1
        self.latencies.append(time.perf_counter() - self._sent_at)


class Reader:
    """One socket that counts the events in what it is sent."""

    __slots__ = ("_tail", "bytes", "connection", "events")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.events = 0
        self.bytes = 0
        self._tail = b""

    def readable(self) -> None:
        size = self.connection.recv_into(_BUFFER)
        if not size:
            raise ConnectionResetError("the server closed a reader")
        seam = self._tail + bytes(_VIEW[: len(MARKER) - 1])
        found = _BUFFER.count(MARKER, 0, size) + seam.count(MARKER)
        self._tail = bytes(_VIEW[max(0, size - len(MARKER) + 1) : size])
        self.events += found
        self.bytes += size


class TimedReader(Reader):
    """One that also knows how long after each push it had all events of it."""

    __slots__ = ("_pushes", "_wanted", "latencies")

    def __init__(self, connection: socket.socket, pushes: Sequence[float]) -> None:
        """`pushes` are the moments of all pushes so far; whoever pushes appends to it."""
        super().__init__(connection)
        self.latencies: list[float] = []
        self._pushes = pushes
        self._wanted = 0

    def start(self) -> None:
        """Wait for the first push from now on."""
        self.latencies.clear()
        self._wanted = self.events + EVENTS_PER_PUSH

    def readable(self) -> None:
        super().readable()
        now = time.perf_counter()
        while self._wanted and self.events >= self._wanted and len(self.latencies) < len(self._pushes):
            self.latencies.append(now - self._pushes[len(self.latencies)])
            self._wanted += EVENTS_PER_PUSH


class Loop:
    """Turns readiness into calls; small enough to cost less than what it measures."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._parties: dict[int, Pusher | Control | Reader] = {}

    def add(self, party: Pusher | Control | Reader) -> None:
        self._parties[party.connection.fileno()] = party
        self._epoll.register(party.connection.fileno(), select.EPOLLIN)

    def turn(self, timeout: float) -> bool:
        """Serve whoever is ready; false when nobody was."""
        ready = self._epoll.poll(timeout, 256)
        for number, _ in ready:
            self._parties[number].readable()
        return bool(ready)

    def run(self, done: Callable[[], bool], at_most: float) -> bool:
        """Turn until `done`; false when that took too long."""
        deadline = time.perf_counter() + at_most
        while not done():
            if time.perf_counter() > deadline:
                return False
            self.turn(0.05)
        return True

    def settle(self, quiet: float = 0.3, at_most: float = 30.0) -> float:
        """Turn until nothing has come for `quiet` seconds; the moment of the last arrival."""
        last = time.perf_counter()
        deadline = last + at_most
        while (now := time.perf_counter()) < deadline and now - last < quiet:
            if self.turn(quiet):
                last = time.perf_counter()
        return last

    def close(self) -> None:
        for party in self._parties.values():
            party.connection.close()
        self._epoll.close()


def open_reader(port: int) -> Reader:
    return Reader(socket.create_connection(("127.0.0.1", port)))


def open_websocket(port: int, path: str = "/graphql", subprotocol: str = "graphql-transport-ws") -> Reader:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(30)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1)
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise RuntimeError(answer.decode())
    return Reader(connection)


def open_subscription(port: int, token: str, document: str, id_: str = "1") -> Reader:
    """A socket of graphql-transport-ws with one subscription that has begun or is about to."""
    reader = open_websocket(port)
    _say(reader.connection, type="connection_init", payload={"token": token})
    while b"connection_ack" not in reader.connection.recv(4096):
        pass
    _say(reader.connection, id=id_, type="subscribe", payload={"query": document})
    return reader


def _say(connection: socket.socket, **message: Any) -> None:
    body = orjson.dumps(message)
    size = bytes([0x80 | len(body)]) if len(body) < 126 else bytes([0xFE]) + len(body).to_bytes(2, "big")
    connection.sendall(b"\x81" + size + bytes(4) + body)  # the mask is zero, so the text stays as it is
