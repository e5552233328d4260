"""`kici-gql doctor` at a real server, and at what stands in front of one and spoils it."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kici_gql.cli.examination import Finding, Status, clock_finding, examine, token_finding
from tests.docs.server import ADMIN, Running, clean_environment, free_port, server

CHECKS = ["healthz", "readyz", "http", "clock", "token", "websocket", "sse"]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("doctor")) as started:
        yield started


async def examined(url: str, token: str = ADMIN, seconds: float = 10.0) -> dict[str, Finding]:
    return {finding.check: finding async for finding in examine(url, token, seconds)}


def doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kici_gql", "doctor", *arguments]
    return subprocess.run(
        command, env=clean_environment() | env, text=True, capture_output=True, timeout=50, check=False
    )


def failed(findings: dict[str, Finding]) -> list[str]:
    return [check for check, finding in findings.items() if finding.status is Status.FAILED]


# ── The server itself ──


@pytest.mark.e2e
def test_a_sound_server_passes(running: Running) -> None:
    done = doctor("--url", f"{running.url}/", KICI_GQL_TOKEN=ADMIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == CHECKS
    assert "FAIL" not in done.stdout
    assert "scope ADMIN (org default), does not expire" in done.stdout
    assert ADMIN not in done.stdout


@pytest.mark.e2e
def test_a_wrong_port_is_said_and_the_rest_is_skipped() -> None:
    done = doctor("--url", f"http://127.0.0.1:{free_port()}", "--token", ADMIN)
    assert done.returncode == 1
    assert "FAIL  healthz    nothing listens at" in done.stdout
    assert "Start `kici-gql serve`" in done.stdout
    assert done.stdout.count("skip") == 4
    assert done.stderr == "\n1 of the checks failed.\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--url", "nonsense"], "no server address"),
        (["--patience-seconds", "0"], "greater than or equal to 0.1"),
    ],
)
def test_wrong_use_is_explained(arguments: list[str], complaint: str) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2
    assert complaint in " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("token", "text"), [("kgq_nobody-0123456789abcdef", "this token is not valid"), ("", "none was given")]
)
async def test_a_wrong_token_is_said(running: Running, token: str, text: str) -> None:
    findings = await examined(running.url, token)
    assert failed(findings) == ["token"]
    assert text in findings["token"].text
    assert "kici-gql token create" in (findings["token"].right or "")
    assert findings["websocket"].status is findings["sse"].status is Status.SKIPPED


@pytest.mark.e2e
async def test_an_orchestrators_token_can_be_checked_too(running: Running) -> None:
    token = await asyncio.to_thread(
        running.run, "token", "create", "lab", "--scope", "orchestrator", "--cluster", "lab"
    )
    findings = await examined(running.url, token.strip())
    assert failed(findings) == []
    assert (
        findings["token"].text
        == "'lab', scope ORCHESTRATOR (reports only, reads nothing, cluster lab), does not expire"
    )
    assert findings["websocket"].text.startswith("answer after")
    assert findings["sse"].status is Status.SKIPPED


@pytest.mark.e2e
async def test_a_token_that_ends_soon_is_a_warning(running: Running) -> None:
    token = await asyncio.to_thread(running.run, "token", "create", "soon", "--expires-in-days", "2")
    findings = await examined(running.url, token.strip())
    assert findings["token"].status is Status.WARNING
    assert "in 1 d 23 h" in findings["token"].text
    assert failed(findings) == []


# ── What stands in front of it ──

Head = bytes
Rewrite = Callable[[Head], Head]


def _same(head: Head) -> Head:
    return head


def _constant(_: Head) -> bytes | None:
    return None


@dataclass
class Proxy:
    """Passes bytes on, except as it is told. `answer` may answer by itself; `hold` keeps event streams to their end."""

    upstream: str
    request: Rewrite = _same
    response: Rewrite = _same
    answer: Callable[[Head], bytes | None] = _constant
    hold: bool = False

    async def __call__(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._relay(client, reply)

    async def _relay(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        head = await client.readuntil(b"\r\n\r\n")
        if (own := self.answer(head)) is not None:
            reply.write(own)
            await reply.drain()
            return
        # One request for each connection, or the second would pass unseen.
        if b"upgrade: websocket" not in head.lower():
            head = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        host, _, port = self.upstream.removeprefix("http://").partition(":")
        origin, out = await asyncio.open_connection(host, int(port))
        try:
            out.write(self.request(head))
            back = asyncio.create_task(self._back(origin, reply, b"text/event-stream" in head))
            forth = asyncio.create_task(_pump(client, out))
            await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
            if not back.done():
                out.close()
            forth.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)
        finally:
            await closed(out)

    async def _back(self, origin: asyncio.StreamReader, reply: asyncio.StreamWriter, events: bool) -> None:
        if events and self.hold:
            reply.write(await origin.read())
            return
        head = await origin.readuntil(b"\r\n\r\n")
        reply.write(self.response(head) if events else head)
        await _pump(origin, reply)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        try:
            await handler(client, reply)
        finally:
            await closed(reply)

    def accept(client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(client, reply))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def without(header: bytes) -> Rewrite:
    return lambda head: re.sub(rb"(?im)^" + header + rb":.*\r\n", b"", head)


def replaced(header: bytes, value: bytes) -> Rewrite:
    return lambda head: re.sub(rb"(?im)^" + header + rb":.*\r\n", header + b": " + value + b"\r\n", head)


@pytest.mark.e2e
async def test_a_proxy_that_passes_everything_on_is_no_trouble(running: Running) -> None:
    async with listening(Proxy(running.url)) as url:
        assert failed(await examined(url)) == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("spoilt", "check", "text", "right"),
    [
        ({"hold": True}, "sse", "something on the way buffers it", "proxy_buffering off"),
        (
            {"response": lambda head: head.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")},
            "sse",
            "compresses the stream (gzip)",
            "gzip off",
        ),
        (
            {"request": replaced(b"accept", b"application/json")},
            "sse",
            "answered with 406",
            "pass the Accept header",
        ),
        ({"request": without(b"upgrade")}, "websocket", "the handshake was answered with 4", "Upgrade"),
        (
            {"request": without(b"sec-websocket-protocol")},
            "websocket",
            "The only subprotocol spoken here is graphql-transport-ws",
            "Sec-WebSocket-Protocol",
        ),
        (
            {"request": replaced(b"host", b"backend:8080")},
            "websocket",
            "browsers can't connect",
            "proxy_set_header Host",
        ),
        ({"request": without(b"authorization")}, "token", "a token is required", "kgq_"),
    ],
)
async def test_a_proxy_that_spoils_one_thing_is_found_out(
    running: Running, spoilt: dict[str, Any], check: str, text: str, right: str
) -> None:
    async with listening(Proxy(running.url, **spoilt)) as url:
        findings = await examined(url, seconds=3.0)
    assert failed(findings) == [check]
    assert text in findings[check].text
    assert right in (findings[check].right or "")


def answering(status: str, body: str = "", *headers: str, at: bytes = b"") -> Callable[[Head], bytes | None]:
    """Answer requests whose first line has `at` in it with this."""

    def answer(head: Head) -> bytes | None:
        if at not in head.split(b"\r\n", 1)[0]:
            return None
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    return answer


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("answer", "check", "text", "right"),
    [
        (answering("404 Not Found", "<h1>nginx</h1>"), "healthz", "404 '<h1>nginx</h1>'", "no kici_gql"),
        (
            answering("301 Moved Permanently", "", "Location: https://ci.example/healthz"),
            "healthz",
            "redirects to https://ci.example/healthz",
            "Give the address",
        ),
        (
            answering("503 Service Unavailable", json.dumps({"problems": ["database"], "bus": True}), at=b"/readyz"),
            "readyz",
            "can't reach its database",
            "KICI_GQL_DATABASE_URL",
        ),
        (
            answering("503 Service Unavailable", json.dumps({"problems": ["stopping"], "bus": True}), at=b"/readyz"),
            "readyz",
            "not ready: stopping",
            "restarted",
        ),
        (answering("200 OK", "<html>", at=b"/readyz"), "readyz", "200 '<html>'", "unchanged"),
        (answering("502 Bad Gateway", "<h1>502</h1>", at=b"POST /graphql"), "http", "502 '<h1>502</h1>'", "proxy"),
    ],
)  # fmt: skip
async def test_a_wrong_answer_is_told_with_what_would_be_right(
    running: Running, answer: Callable[[Head], bytes | None], check: str, text: str, right: str
) -> None:
    async with listening(Proxy(running.url, answer=answer)) as url:
        findings = await examined(url)
    assert failed(findings) == [check]
    assert text in findings[check].text
    assert right in (findings[check].right or "")


@pytest.mark.e2e
async def test_a_dead_bus_is_a_warning(running: Running) -> None:
    answer = answering("200 OK", json.dumps({"problems": [], "bus": False}), at=b"/readyz")
    async with listening(Proxy(running.url, answer=answer)) as url:
        findings = await examined(url)
    assert failed(findings) == []
    assert findings["readyz"].status is Status.WARNING


async def test_silence_and_other_tongues_are_told_apart() -> None:
    async def silent(client: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await client.read()

    async def redis(client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        await client.read(1)
        reply.write(b"-ERR unknown command\r\n")

    async with listening(silent) as url:
        assert "did not answer in 0.2 s" in (await examined(url, seconds=0.2))["healthz"].text
    async with listening(redis) as url:
        assert "does not answer in HTTP" in (await examined(url))["healthz"].text
        secure = (await examined(url.replace("http:", "https:")))["healthz"]
        assert "does not speak TLS" in secure.text


# ── Judgements ──


@pytest.mark.parametrize(
    ("skew", "took", "status"),
    [
        (0.0, 0.01, Status.OK),
        (2.0, 0.01, Status.OK),
        (-3.0, 0.01, Status.WARNING),
        (3.0, 4.0, Status.OK),  # so slow an answer proves nothing
        (60.0, 0.01, Status.WARNING),
        (-61.0, 0.01, Status.FAILED),
        (86_400.0, 0.01, Status.FAILED),
    ],
)
def test_clocks(skew: float, took: float, status: Status) -> None:
    ended = NOON + timedelta(seconds=took)
    finding = clock_finding(NOON + timedelta(seconds=skew + took / 2), NOON, ended)
    assert finding.status is status
    if status is not Status.OK:
        assert f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours" in finding.text


@pytest.mark.parametrize(
    ("days", "status"), [(None, Status.OK), (8, Status.OK), (7, Status.WARNING), (0.5, Status.WARNING)]
)
def test_tokens(days: float | None, status: Status) -> None:
    expires = None if days is None else (NOON + timedelta(days=days)).isoformat()
    viewer = {"tokenName": "me", "scope": "VIEWER", "clusterName": None, "expiresAt": expires,
              "org": {"slug": "default"}}  # fmt: skip
    assert token_finding(viewer, NOON).status is status


def test_nobody_is_told_so() -> None:
    viewer: dict[str, Any] = {"tokenName": "anonymous", "scope": None, "clusterName": None, "expiresAt": None}
    assert token_finding(viewer | {"org": None}, NOON).status is Status.FAILED
