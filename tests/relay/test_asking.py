"""Questions of users, one at a time, and what a session asks by itself: often while something happens, seldom otherwise."""

import json
import uuid
from typing import Any

import pytest

from kici_gql.relay.messages.answers import Answered, Refusal, Refused
from kici_gql.relay.messages.introduction import org_of
from kici_gql.relay.messages.requests import Actor, request
from kici_gql.relay.session.effects import (
    Backends,
    Beat,
    DeadLetters,
    Refit,
    Registrations,
    Settle,
)
from kici_gql.relay.session.polls import ACTIVE_SECONDS
from tests.relay.recorded import AUTH, DIAGNOSTICS, REGISTER, USUAL_ANSWERS, Player, outcome, ready

ID = "aab7b8e6-962b-4cc7-9d93-aadd31633627"
HEARTBEAT = {"type": "heartbeat", "timestamp": 1795440185955}
TOGGLE = request("dashboard.registration.disable", Actor("ci"), registrationId=ID, disabled=True)


def test_one_question_at_a_time_and_answers_are_told_apart_by_id_alone() -> None:
    player = ready()
    player.wait(5)
    player.answers.clear()
    for key in ("first", "second"):
        player.perform(player.session.ask(key, TOGGLE, player.now))
    [asked] = player.asked("dashboard.registration.disable")
    player.say(
        {"type": "dashboard.registration.disable.result", "requestId": str(uuid.uuid4()), "success": True}
    )
    player.say({"type": "registration.disabled", "registrationId": ID, "workflowName": "slow"})
    assert not player.seen(Settle)
    player.say({"type": "whatever.response", "requestId": asked["requestId"], "success": True})
    player.say(
        {"type": "dashboard.registration.disable.result", "requestId": asked["requestId"], "success": False}
    )
    [settled] = player.seen(Settle)
    assert settled.key == "first"
    assert isinstance(settled.outcome, Answered)
    assert player.session.questions.unexpected == 2
    assert len(player.asked("dashboard.registration.disable")) == 2


def test_the_actor_is_the_token_that_asked() -> None:
    player = ready()
    player.perform(player.session.ask("k", TOGGLE, player.now))
    [asked] = player.asked("dashboard.registration.disable")
    assert asked["actor"] == {"type": "service_account", "id": "ci"}
    assert str(uuid.UUID(asked["requestId"])) == asked["requestId"]
    assert all(frame["actor"]["type"] == "system" for frame in player.asked("dashboard.diagnostics"))


def test_an_answer_that_never_comes() -> None:
    player = ready()
    player.perform(player.session.ask("k", TOGGLE, player.now))
    player.wait(16)
    assert outcome(player).why is Refusal.TIMED_OUT
    assert outcome(player).perhaps_done
    [asked] = player.asked("dashboard.registration.disable")
    player.say(
        {"type": "dashboard.registration.disable.result", "requestId": asked["requestId"], "success": True}
    )
    assert len(player.seen(Settle)) == 1  # too late


def test_too_many_questions_are_refused_and_a_lost_link_settles_the_others() -> None:
    player = ready()
    player.answers.clear()
    for number in range(70):
        player.perform(player.session.ask(str(number), TOGGLE, player.now))
    assert {each.outcome.why for each in player.seen(Settle)} == {Refusal.BUSY}
    player.perform(player.session.lost())
    settled = player.seen(Settle)
    assert len(settled) == 70
    assert [each.outcome.perhaps_done for each in settled if each.outcome.why is Refusal.DISCONNECTED].count(
        True
    ) <= 1
    player.perform(player.session.ask("late", TOGGLE, player.now))
    assert player.seen(Settle)[-1].outcome.why is Refusal.DISCONNECTED


@pytest.mark.parametrize(
    ("body", "why", "message"),
    [
        (
            {"error": "operation_disabled", "message": "no", "cliEquivalent": "kici-admin x"},
            Refusal.DENIED,
            "no",
        ),
        (
            {"error": "too old", "code": "unsupported_request_type", "orchVersion": "0.1.1"},
            Refusal.UNSUPPORTED,
            "",
        ),
        ({"success": False}, Refusal.NOT_FOUND, ""),
        ({"error": "Registration not found"}, Refusal.NOT_FOUND, "Registration not found"),
        ({"error": "select * from x failed: kat_0123456789"}, Refusal.FAILED, "«redacted»"),
        ({"error": "invalid dashboard request payload", "code": "invalid_payload"}, Refusal.FAILED, ""),
    ],
)
def test_every_dialect_of_refusal(body: dict[str, Any], why: Refusal, message: str) -> None:
    player = ready()
    player.answers["dashboard.registration.disable"] = {
        "type": "dashboard.registration.disable.response"
    } | body
    player.perform(player.session.ask("k", TOGGLE, player.now))
    refused = outcome(player)
    assert isinstance(refused, Refused)
    assert refused.why is why
    assert message in refused.message


def test_an_answer_without_what_it_is_for_is_malformed() -> None:
    player = ready()
    player.answers["run.rerun.request"] = {"type": "run.rerun.response", "newRunId": 7}
    player.perform(player.session.ask("k", request("run.rerun.request", runId=ID), player.now))
    assert outcome(player).why is Refusal.MALFORMED


def test_a_backend_that_fails_its_test_is_an_answer() -> None:
    player = ready()
    player.answers["dashboard.backends.test"] = {
        "type": "dashboard.backends.test.response",
        "ok": False,
        "error": "unreachable",
    }
    player.perform(player.session.ask("k", request("dashboard.backends.test", name="vault"), player.now))
    assert outcome(player).body["ok"] is False


def test_a_nack_refuses_the_question_and_is_never_answered() -> None:
    player = ready()
    player.wait(5)
    player.answers.clear()
    player.perform(player.session.ask("k", TOGGLE, player.now))
    sent = len(player.sent)
    player.say({"type": "nack", "receivedType": "something.else"})
    assert not player.seen(Settle)
    player.say({"type": "nack", "receivedType": "dashboard.registration.disable", "reason": "unknown"})
    assert outcome(player).why is Refusal.UNSUPPORTED
    assert [frame["type"] for frame in player.sent[sent:]].count("nack") == 0


def settled() -> Player:
    """One whose start is long ago."""
    player = ready()
    player.wait(ACTIVE_SECONDS + 30)
    player.sent.clear()
    return player


def test_agents_that_come_back_after_their_orchestrator_are_seen_within_seconds() -> None:
    player = ready()
    player.wait(3.1)
    more = json.loads(json.dumps(DIAGNOSTICS))
    more["agents"].append(more["agents"][0] | {"agentId": "late"})
    player.answers["dashboard.diagnostics"] = more
    player.wait(10.1)
    more["agents"].append(more["agents"][0] | {"agentId": "later"})
    player.wait(3.1)
    fitted = [{agent.agent_id for agent in each.inventory.agents} for each in player.seen(Refit)]
    assert ["late" in each for each in fitted] == [True, True]
    assert ["later" in each for each in fitted] == [False, True]


def test_what_is_not_told_is_asked_and_only_news_comes_through() -> None:
    player = ready()
    player.wait(600)
    assert (len(player.seen(Registrations)), len(player.seen(Backends)), len(player.seen(Refit))) == (1, 1, 0)
    assert 15 <= len(player.asked("dashboard.diagnostics")) <= 25 or player.closed
    assert {frame["type"] for frame in player.sent if "actor" in frame} == set(USUAL_ANSWERS)


def test_a_new_agent_is_news() -> None:
    player = ready()
    more = json.loads(json.dumps(DIAGNOSTICS))
    more["agents"].append(more["agents"][0] | {"agentId": "new", "scalerName": None})
    player.answers["dashboard.diagnostics"] = more
    player.say(HEARTBEAT)
    player.wait(3)
    [refit] = player.seen(Refit)
    assert "new" in {agent.agent_id for agent in refit.inventory.agents}


def test_activity_is_followed_closely_and_quiet_politely() -> None:
    quiet, busy = settled(), settled()
    for second in range(60):
        busy.say(
            {
                "type": "execution.status",
                "runId": ID,
                "status": "running",
                "timestamp": 1795440185955 + second,
            }
        )
        busy.wait(1)
        quiet.wait(1)
    assert 20 <= len(busy.asked("dashboard.diagnostics")) <= 35
    assert len(quiet.asked("dashboard.diagnostics")) <= 4


def test_a_heartbeat_right_behind_a_question_is_told_at_once() -> None:
    """And once more with the figures of the next one: nobody waits for them to see that it is alive."""
    player = settled()
    while not player.asked("dashboard.diagnostics"):
        player.wait(0.5)
    player.effects.clear()
    asked = len(player.asked("dashboard.diagnostics"))
    player.say(HEARTBEAT)
    assert len(player.seen(Beat)) == 1
    assert len(player.asked("dashboard.diagnostics")) == asked
    player.wait(3)
    assert len(player.asked("dashboard.diagnostics")) == asked + 1
    assert len(player.seen(Beat)) == 2


def test_links_that_were_made_together_do_not_ask_together() -> None:
    early, late = ready(), ready()
    early.chance, late.chance = 0.0, 1.0
    early.wait(120)
    late.wait(120)
    assert len(early.asked("dashboard.diagnostics")) > len(late.asked("dashboard.diagnostics"))


def test_whoever_watches_sees_more_often_how_an_orchestrator_is() -> None:
    watched, quiet = settled(), settled()
    for _ in range(170):
        watched.session.watched(watched.now)
        watched.wait(1)
        quiet.wait(1)
    assert len(watched.asked("dashboard.diagnostics")) >= 2 * len(quiet.asked("dashboard.diagnostics"))


def test_who_does_not_answer_is_asked_less_and_less() -> None:
    player = ready()
    player.answers.clear()
    for _ in range(40):
        player.say(HEARTBEAT)
        player.wait(30)
    assert player.closed is None
    assert len(player.asked("dashboard.diagnostics")) < 15


def test_who_does_not_know_a_question_is_not_asked_again() -> None:
    player = Player()
    player.answers["dashboard.backends.list"] = {
        "type": "dashboard.backends.list.response",
        "error": "x",
        "code": "unsupported_request_type",
    }
    player.introduce()
    for _ in range(20):
        player.say(HEARTBEAT)
        player.wait(30)
    assert len(player.asked("dashboard.backends.list")) == 1


def test_dead_letters_are_counted() -> None:
    player = ready()
    player.wait(1)
    [asked] = player.asked("dashboard.event-dlq.count")
    assert asked["orgId"] == org_of(player.session.routing_keys)
    player.answers["dashboard.event-dlq.count"] = {"type": "dashboard.event-dlq.count.response", "total": 7}
    retry = request("dashboard.event-dlq.retry", Actor("ci"), orgId="o", eventId=ID)
    player.perform(player.session.ask("k", retry, player.now))
    asked = player.asked("dashboard.event-dlq.retry")[0]
    player.say(
        {"type": "dashboard.event-dlq.retry.response", "requestId": asked["requestId"], "retried": True}
    )
    player.wait(4)
    assert [each.total for each in player.seen(DeadLetters)] == [0, 7], "what a change touched is asked soon"
    player.wait(150)
    counted = [each.total for each in player.seen(DeadLetters)]
    assert counted == [0, 7, 7], "each time: a sibling may have told something else"


@pytest.mark.parametrize("manifest", [["dashboard.diagnostics"], ["dashboard.event-dlq.count"]])
def test_dead_letters_are_counted_only_if_the_manifest_has_it(manifest: list[str]) -> None:
    player = Player()
    player.say(AUTH | {"capabilities": {"supportedDashboardRequests": manifest}})
    player.say(REGISTER)
    player.wait(150)
    assert bool(player.asked("dashboard.event-dlq.count")) is ("dashboard.event-dlq.count" in manifest)
