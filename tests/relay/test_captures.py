"""Every recorded session, played to a session whole, cut and resumed, and in the dialect of 0.9."""

import json
import random
from typing import Any

import pytest

from kici_gql.rules import merging
from tests.relay.dialect import to_09
from tests.relay.recorded import NAMES, Book, Player, announced, details, frames

# What a capture leaves behind: runs, jobs, steps, lines. A change of these numbers is a change of what is understood.
LEFT = {
    "auth": (32, 44, 0, 0),
    "backends": (0, 0, 0, 0),
    "backoff": (39, 52, 0, 0),
    "bad-ids": (1, 1, 0, 0),
    "bad-input": (40, 40, 0, 0),
    "big-log": (1, 1, 1, 27),
    "cancel": (2, 2, 2, 19),
    "connect": (0, 0, 0, 0),
    "diagnostics": (1, 1, 2, 47),
    "errors": (0, 0, 0, 0),
    "lists": (0, 0, 0, 0),
    "no-compression": (8, 12, 0, 0),
    "oversize": (38, 51, 0, 0),
    "reconnect": (32, 44, 5, 49),
    "registrations": (4, 6, 9, 97),
    "rename": (37, 49, 0, 0),
    "replay-size": (620, 620, 0, 0),
    "rerun": (4, 6, 7, 38),
    "run-failure": (1, 2, 2, 8),
    "run-now": (1, 1, 1, 8),
    "run-success": (1, 2, 3, 21),
    "runs-list": (0, 0, 0, 0),
    "sources": (38, 51, 0, 0),
    "stalled": (0, 0, 0, 0),
    "webhook-relay": (2, 3, 4, 29),
    "write-policy": (1, 1, 1, 8),
}


def played(name: str, dialect: Any = None, cuts: int = 0, seed: int = 0) -> Player:
    """The capture, with the link lost and made again at random places."""
    player = Player(dialect=dialect)
    player.introduce()
    recorded = frames(name)
    places = set(random.Random(seed).sample(range(len(recorded)), min(cuts, len(recorded))))
    for index, frame in enumerate(recorded):
        if index in places:
            player.perform(player.session.lost())
            player.connect()
            player.introduce()
        player.say(frame)
    return player


def state(book: Book) -> Any:
    return json.loads(
        json.dumps(
            [
                sorted((str(key), value) for key, value in part.items())
                for part in (book.runs, book.jobs, book.steps, book.lines)
            ],
            default=str,
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_leads_to_the_expected_state(name: str) -> None:
    player = played(name)
    assert player.closed is None
    book = player.book
    assert (len(book.runs), len(book.jobs), len(book.steps), sum(map(len, book.lines.values()))) == LEFT[name]


DETAILED = ["cancel", "registrations", "rerun", "run-failure", "run-now", "run-success"]


@pytest.mark.parametrize("name", DETAILED)
def test_agrees_with_what_the_orchestrator_says_of_its_runs(name: str) -> None:
    book = played(name).book
    compared = 0
    for run_id, detail in details(name):
        for job in detail["jobs"]:
            if job["status"] == "pending" or (run_id, job["jobId"]) not in book.jobs:
                continue  # no frame announces a job that waits
            compared += 1
            assert book.job_status(run_id, job["jobId"]) == job["status"].upper()
            for step in job["steps"]:
                known = book.steps[run_id, job["jobId"], step["stepIndex"]]
                if merging.is_final(
                    known["status"]
                ):  # a step that its job's end cut off is closed by the server
                    assert known["status"] == step["status"].upper()
                assert known["name"] == step["stepName"]
    assert compared


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", NAMES)
def test_cut_and_resumed_it_leads_to_the_same_state(name: str, seed: int) -> None:
    assert state(played(name, cuts=5, seed=seed).book) == state(played(name).book)


@pytest.mark.parametrize("name", NAMES)
def test_in_the_dialect_of_09_it_leads_to_the_same_state(name: str) -> None:
    assert state(played(name, to_09).book) == state(played(name).book)
    assert state(played(name, to_09, cuts=3, seed=1).book) == state(played(name).book)


def test_in_the_dialect_of_09_the_write_policy_is_the_same() -> None:
    told = announced("write-policy")
    old, new = Player(), Player(dialect=to_09)
    old.introduce()
    new.introduce()
    denied = set()
    for frame in told:
        old.say(frame)
        new.say(frame)
        for operation in ("backends.test", "registration.delete", "contexts.create", "secrets.set"):
            known = old.session.capabilities.write_state(operation)
            assert new.session.capabilities.write_state(operation) is known
            denied |= {operation} if known == "DISABLED" else set()
    assert denied == {"backends.test", "registration.delete"}


@pytest.mark.parametrize("name", NAMES)
def test_frames_in_any_order_lead_to_the_same_state(name: str) -> None:
    """All but log lines, which have no order of their own."""
    recorded = [frame for frame in frames(name) if frame["type"] != "log.chunk"]
    straight, shuffled = Player(), Player()
    straight.introduce()
    shuffled.introduce()
    for frame in recorded:
        straight.say(frame)
    for frame in random.Random(7).sample(recorded, len(recorded)):
        shuffled.say(frame)
        shuffled.say(frame)
    assert state(shuffled.book) == state(straight.book)


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_gets_through(name: str) -> None:
    player = Player()
    player.introduce()
    for frame in frames(name):
        text = json.dumps(frame).replace("kat_<redacted>", "kat_0123456789abcdef")
        player.say(json.loads(text))
    shown = "".join(map(repr, player.effects))
    assert "kat_0123456789abcdef" not in shown
    assert "/usr/local/bin:/usr/bin" not in shown
