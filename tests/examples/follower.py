"""A client that follows one subscription of a real server over SSE, in a thread of its own."""

import json
import threading
from typing import Any

import httpx

from tests.examples.live_server import LiveServer


class Follower:
    """The frames of the stream so far; `close` ends it."""

    def __init__(self, server: LiveServer, token: str, document: str) -> None:
        self.frames: list[dict[str, Any]] = []
        self._url = f"{server.url}/graphql"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self._document = document
        self._client = httpx.Client(timeout=httpx.Timeout(10, read=60))
        self._closing = False
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events of all frames, oldest first."""
        return [event for frame in list(self.frames) for event in frame["events"]]

    def close(self) -> None:
        self._closing = True
        self._thread.join(30)  # the next bookmark wakes it up
        self._client.close()

    def _follow(self) -> None:
        with self._client.stream(
            "POST", self._url, json={"query": self._document}, headers=self._headers
        ) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and (text := line.removeprefix("data:").strip()):
                    data = json.loads(text).get("data")
                    self.frames += data.values() if data else []
                if self._closing:
                    return
