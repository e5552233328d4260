"""`kici-gql doctor` at a real server."""

import asyncio
import re
import subprocess
import sys

import pytest

from kici_gql.cli.examination.finding import Status
from tests.cli.doctor.examined import examined, failed
from tests.docs.server import ADMIN, Running, clean_environment, free_port

CHECKS = ["healthz", "readyz", "http", "clock", "token", "websocket", "sse"]


def doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kici_gql", "doctor", *arguments]
    return subprocess.run(
        command, env=clean_environment() | env, text=True, capture_output=True, timeout=50, check=False
    )


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
