"""The npm client graphql-ws, which most browsers will bring."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.api.transport.serving import Server

E2E = Path(__file__).parents[2] / "e2e"

_SCENARIO = """
import { createClient } from "graphql-ws";
import WebSocket from "ws";
const heard = [];
const client = createClient({
  url: process.argv[1],
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: "Bearer kgq_alice" },
  keepAlive: 50,
  on: { closed: (event) => heard.push({ closed: event.code }) },
});
const once = (payload) =>
  new Promise((resolve, reject) => {
    let answer;
    client.subscribe(payload, { next: (value) => (answer = value), error: reject, complete: () => resolve(answer) });
  });
const results = [];
const stop = client.subscribe(
  { query: "subscription { ticks { kind values } }" },
  { next: (value) => heard.push(value.data.ticks), error: (error) => heard.push({ error }), complete: () => {} },
);
results.push(await once({ query: "{ hello }" }));
results.push(await once({ query: "mutation ($v: Int!) { add(value: $v) }", variables: { v: 7 } }));
results.push(await once({ query: "{ nothing }" }).catch((errors) => errors[0].extensions.code));
while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
stop();
await client.dispose();
console.log(JSON.stringify({ results, heard }));
"""


async def node(script: str, *arguments: str) -> Any:
    """Run a module with the packages of tests/e2e; answers the JSON it prints."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs node")
    if not (E2E / "node_modules" / "graphql-ws").is_dir():
        pytest.skip("needs npm packages (make node-deps)")
    process = await asyncio.create_subprocess_exec(
        program, "--input-type=module", "--eval", script, *arguments, cwd=E2E, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return json.loads(output)


async def test_graphql_ws_gets_along(server: Server) -> None:
    answer = await node(_SCENARIO, server.ws)
    assert answer["results"] == [
        {"data": {"hello": "hello world"}},
        {"data": {"add": 1}},
        "GRAPHQL_VALIDATION_FAILED",
    ]
    assert answer["heard"][:2] == [{"kind": "SNAPSHOT", "values": []}, {"kind": "EVENTS", "values": [7]}]
