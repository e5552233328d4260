"""Every command of the pages exists with the options it is shown with; those of the README are run."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kici_gql.cli import app
from tests.docs.markdown import DOCS, ROOT, Block, blocks, pages
from tests.docs.server import Running, server

SHELL = ("sh", "bash", "shell", "console")


def commands(block: Block) -> list[list[str]]:
    """The words of each command: comments gone, continued lines joined, prefixed variables taken off."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words:
            found.append(words)
    return found


def every_command() -> list[Any]:
    return [
        pytest.param(words, id=f"{block}: {' '.join(words)[:50]}")
        for page in pages()
        for block in blocks(page, *SHELL)
        for words in commands(block)
    ]


@pytest.mark.parametrize("words", [each for each in every_command() if each.values[0][0] == "make"])
def test_make_targets_exist(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize(
    "words", [each for each in every_command() if each.values[0][0].endswith("kici-gql")]
)
def test_our_commands_take_these_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("kici-gql", words[1:])
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])  # noqa: SLF001 - where click keeps the name
        context = command.make_context(name, rest, parent=context)


KNOWN_PROGRAMS = {
    *("cd", "curl", "export", "make", "node", "npm", "pip", "python", "python3", "kici-gql", "."),
    *("createdb", "pg_dump", "sqlite3"),
    *("/opt/kici_gql/bin/pip", "examples/watch_sse.sh"),
}


@pytest.mark.parametrize("words", every_command())
def test_every_program_is_one_that_a_reader_has(words: list[str]) -> None:
    assert words[0] in KNOWN_PROGRAMS
    for word in words[1:]:
        if re.fullmatch(r"(examples|requirements|tests)/[\w/.-]+", word):
            assert (ROOT / word).exists(), word


# ── Run ──


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("docs")) as started:
        yield started


def curls(page: Path, streaming: bool) -> list[Any]:
    found = [block for block in blocks(page, *SHELL) if block.text.startswith("curl")]
    return [
        pytest.param(block, id=str(block)) for block in found if ("event-stream" in block.text) is streaming
    ]


@pytest.mark.e2e
@pytest.mark.parametrize("block", curls(ROOT / "README.md", streaming=False))
def test_a_query_with_curl_is_answered(running: Running, block: Block) -> None:
    done = subprocess.run(
        ["bash", "-c", block.text], env=running.env, text=True, capture_output=True, timeout=60, check=True
    )
    assert done.stdout == '{"data":{"org":{"clusters":{"nodes":[]}}}}'


@pytest.mark.e2e
@pytest.mark.parametrize("block", curls(ROOT / "README.md", streaming=True))
def test_a_subscription_with_curl_brings_its_snapshot(running: Running, block: Block) -> None:
    assert '"kind":"SNAPSHOT"' in until(["bash", "-c", f"exec {block.text}"], running, "data: ")


@pytest.mark.e2e
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=str(block))
        for page in (ROOT / "README.md", DOCS / "subscriptions.md")
        for block in blocks(page, "python")
    ],
)
def test_a_client_in_python_gets_its_snapshot(running: Running, block: Block) -> None:
    assert "SNAPSHOT" in until([sys.executable, "-c", block.text], running, "")


def until(command: list[str], running: Running, start: str) -> str:
    """The first line that a program prints with this start; the program is ended then."""
    process = subprocess.Popen(
        command, env=running.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(start) and line.strip():
                return line
        raise AssertionError("it ended without a word")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(240)  # five programs, one after the other
def test_the_commands_on_tokens_and_orgs_work(running: Running) -> None:
    """Those of operations.md, with the id of a token that exists."""
    (block,) = [block for block in blocks(DOCS / "operations.md", "sh") if "token revoke" in block.text]
    printed = {}
    for words in commands(block):
        if words[1:3] == ["token", "revoke"]:
            words[3] = running.run("token", "list").split()[0]
        printed[" ".join(words[1:3])] = running.run(*words[1:])
    assert printed["token create"].startswith("kgq_")
    assert printed["org create"].startswith("kgq_")
    assert printed["token revoke"].startswith("revoked tok_")
