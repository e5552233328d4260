"""`docs/relay.md` says what the code does: every table there is one of the code's tables."""

import re
from pathlib import Path

import pytest

from kici_gql.relay.messages.answers import Refusal
from kici_gql.relay.messages.codes import Close
from kici_gql.relay.messages.inbound import NOTED, READERS
from kici_gql.relay.messages.outbound import SENT
from kici_gql.relay.messages.requests import KINDS
from kici_gql.relay.session.polls import PACES
from kici_gql.tables import CommandKind

DOC = (Path(__file__).parents[2] / "docs" / "relay.md").read_text()


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose header line starts like this."""
    _, _, after = DOC.partition(f"| {header} |")
    lines = after.splitlines()[2:]
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    assert table, f"there is no table {header}"
    return table


def test_close_codes() -> None:
    assert {(int(row[0]), row[1]) for row in rows("code")} == {(code.value, code.name) for code in Close}


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("frame | what becomes of it", list(READERS)),
        ("frame | content", sorted(SENT)),
        ("outcome", [each.value for each in Refusal]),
        ("command", [each.value for each in CommandKind]),
        ("poll", [each.value for each in PACES]),
    ],
)
def test_names(header: str, names: list[str]) -> None:
    assert sorted(row[0] for row in rows(header)) == sorted(names)


def test_frames_that_say_nothing_we_keep() -> None:
    [line] = [line for line in DOC.splitlines() if line.startswith("Frames that we know")]
    assert set(re.findall(r"`([^`]+)`", line)) == NOTED


def test_requests() -> None:
    told = {}
    for type_, arguments, carries, operation, seconds in rows("request | arguments"):
        told[type_] = (arguments, carries, operation, float(seconds))
    known = {}
    for kind in KINDS.values():
        arguments = ", ".join([*kind.required, *(f"{name}?" for name in kind.optional)]) or "–"
        known[kind.type] = (arguments, ", ".join(kind.carries) or "–", kind.operation or "–", kind.seconds)
    assert told == known


def test_paces() -> None:
    told = {row[0]: tuple(map(float, row[1:])) for row in rows("poll")}
    assert told == {poll.value: (pace.soonest, pace.active, pace.quiet) for poll, pace in PACES.items()}
