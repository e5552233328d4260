"""What a cluster's policy says of writes, in the words of every version of KiCI."""

import json
from pathlib import Path
from typing import Any

import pytest

from kici_gql.relay.asker import policy
from kici_gql.relay.messages.introduction import read_capabilities
from kici_gql.rules.settings_reports import COMMAND_LINES, WriteState, command_line, state_of

ALLOWED, SEALED_ONLY, DISABLED = WriteState.ALLOWED, WriteState.SEALED_ONLY, WriteState.DISABLED


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (True, ALLOWED),
        (False, DISABLED),
        ("disabled", DISABLED),
        ("DISABLED", DISABLED),
        ("encrypted", SEALED_ONLY),
        ("SEALED_ONLY", SEALED_ONLY),
        ("permissive", ALLOWED),
        ("a word of 2031", ALLOWED),
        (None, ALLOWED),
        (0, ALLOWED),
        ({}, ALLOWED),
        (["disabled"], ALLOWED),
    ],
)
def test_what_an_orchestrator_may_say_of_a_write(told: Any, state: WriteState) -> None:
    assert state_of({"secrets.set": told}, "secrets.set") is state


def test_what_is_not_named_is_allowed() -> None:
    assert state_of({"secrets.set": "disabled"}, "secrets.delete") is ALLOWED


@pytest.mark.parametrize("told", [True, False, "disabled", "encrypted", "permissive", 7])
def test_what_a_stock_orchestrator_announced_is_stored_as_it_was_meant(told: Any) -> None:
    """Booleans of 0.1 and words of 0.9, read by the protocol, stored as a surface, read again."""
    stored = policy(read_capabilities({"dashboardWrites": {"secrets.set": told}}))["dashboardWrites"]
    assert state_of(stored, "secrets.set") is state_of({"secrets.set": told}, "secrets.set")


CAPTURE = Path(__file__).parents[1] / "relay" / "captures" / "write-policy.jsonl"


def test_the_lines_are_those_that_kici_itself_names() -> None:
    """A stock orchestrator that refuses a write tells which line does it; these were recorded."""
    told = {}
    for line in CAPTURE.read_text().splitlines():
        message = json.loads(line)["msg"]
        if message.get("error") == "operation_disabled":
            told[message["operation"]] = message["cliEquivalent"]
    assert told.pop("backends.sync_one") == "kici-admin backend sync --one", "which its program does not take"
    compared = told.keys() & COMMAND_LINES.keys()
    assert len(compared) >= 5
    for operation in compared:
        assert command_line(operation).partition(" <")[0] == told[operation]


def test_a_line_can_be_pasted_whatever_the_name_is() -> None:
    assert command_line("backends.test", "main") == "kici-admin backend test main"
    assert command_line("backends.test", "a b; rm -rf ~") == "kici-admin backend test 'a b; rm -rf ~'"
    assert command_line("backends.test", r"\1 <x>") == r"kici-admin backend test '\1 <x>'"
    assert command_line("backends.sync", "whatever") == "kici-admin backend sync"
