"""The audits of the npm package graphql-http, run against a real server."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.api.transport.serving import Server

E2E = Path(__file__).parents[2] / "e2e"

_AUDIT = """
import { auditServer } from "graphql-http";
const authorization = "Bearer kgq_alice";
const fetchFn = (url, init) => fetch(url, { ...init, headers: { ...init?.headers, authorization } });
const results = await auditServer({ url: process.argv[1], fetchFn });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
"""


async def test_all_must_and_should_audits_of_graphql_http_pass(server: Server) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    if not (E2E / "node_modules" / "graphql-http").is_dir():
        pytest.skip("needs npm packages (make node-deps)")
    process = await asyncio.create_subprocess_exec(
        node, "--input-type=module", "--eval", _AUDIT, server.http, cwd=E2E, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    results = json.loads(output)
    assert len(results) > 50
    assert [f"{row['id']} {row['name']}: {row['reason']}" for row in results if row["status"] != "ok"] == []
