"""`kici-gql doctor` at what stands in front of a server and spoils it, or stands there instead."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from kici_gql.cli.examination.finding import Status
from tests.cli.doctor.examined import examined, failed
from tests.cli.doctor.proxy import Head, Proxy, answering, listening, replaced, without
from tests.docs.server import Running


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
        (
            answering("200 OK", json.dumps({"problems": [], "bus": True, "writes": False}), at=b"/readyz"),
            "readyz",
            "could not commit",
            "full disk",
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
