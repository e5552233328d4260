"""The session by itself: its states, its questions, its polls, its patience."""

import json
from typing import Any

import pytest

from kici_gql.relay.messages.answers import Refusal
from kici_gql.relay.messages.codes import MAX_REASON_BYTES, Close
from kici_gql.relay.messages.requests import Actor, request
from kici_gql.relay.session.effects import (
    Amend,
    Beat,
    Introduce,
    Send,
    Settle,
)
from kici_gql.relay.session.session import MAX_MISPLACED, SILENT_SECONDS, Session, State
from tests.relay.recorded import AUTH, DIAGNOSTICS, REGISTER, Player, outcome, ready

ID = "aab7b8e6-962b-4cc7-9d93-aadd31633627"
HEARTBEAT = {"type": "heartbeat", "timestamp": 1795440185955}
TOGGLE = request("dashboard.registration.disable", Actor("ci"), registrationId=ID, disabled=True)


# ── Introduction ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_orchestrator_is_entered_with_all_it_has_and_acknowledged_then() -> None:
    player = Player()
    player.say(AUTH)
    player.say(REGISTER)
    assert [frame["type"] for frame in player.sent][:3] == [
        "auth.success",
        "dashboard.diagnostics",
        "source.register.ack",
    ]
    [introduced] = player.seen(Introduce)
    assert introduced.register.cluster_name == "probe-one"
    assert introduced.diagnostics is not None
    assert [agent.agent_id for agent in introduced.diagnostics.inventory.agents] == [
        "scaler-bare-metal-23bf13a8",
        "static-agent-1",
    ]
    host = introduced.diagnostics.inventory.host
    assert (host.hostname, host.platform, host.arch, host.cpu_count) == ("vm", "linux", "x64", 2)
    assert player.session.state is State.READY


def test_one_that_does_not_answer_is_entered_all_the_same() -> None:
    player = Player()
    player.answers["dashboard.diagnostics"] = None
    player.introduce()
    assert player.session.state is State.INTRODUCING
    player.wait(6)
    [introduced] = player.seen(Introduce)
    assert introduced.diagnostics is None
    assert len(player.asked("source.register.ack")) == 1


def test_what_it_kept_during_an_outage_is_held_until_it_is_entered() -> None:
    player = Player()
    player.answers["dashboard.diagnostics"] = None
    player.say(AUTH)
    player.say({"type": "execution.status", "runId": ID, "status": "running", "timestamp": 1795440185955})
    player.say(REGISTER)
    player.say({"type": "log.chunk", "runId": ID, "jobId": "j", "stepIndex": 0, "lines": ["one"]})
    assert not player.book.runs
    player.wait(6)
    assert player.book.status(ID) == "RUNNING"
    assert player.book.lines[ID, "j", 0] == ["one"]


@pytest.mark.parametrize(
    "first", [REGISTER, HEARTBEAT, {"type": "auth.success"}, {"type": "auth.request"}, [], "x"]
)
def test_the_first_frame_has_to_introduce(first: Any) -> None:
    player = Player()
    player.perform(player.session.receive(json.dumps(first), player.now))
    assert player.closed is not None
    assert player.closed.code is Close.INVALID_MESSAGE


def test_unknown_frames_before_the_first_one_are_no_first_frame() -> None:
    player = Player()
    player.say({"type": "something.new"})
    assert player.closed is not None


def test_nobody_waits_for_ever_for_an_introduction() -> None:
    silent = Player()
    silent.wait(11)
    assert silent.closed is not None
    assert silent.closed.code is Close.AUTH_TIMEOUT
    unregistered = Player()
    unregistered.say(AUTH)
    unregistered.say({"type": "cluster.membership", "workers": [{"instanceId": "w1"}]})
    unregistered.wait(61)
    assert unregistered.session.workers == ("w1",)
    assert unregistered.closed is not None
    assert unregistered.closed.code is Close.PROTOCOL_ERROR


def test_a_bad_token_is_told_why() -> None:
    session = Session(0.0, "link")
    session.receive(json.dumps(AUTH), 0.0)
    [send, shut] = session.rejected("this token is not valid " + "é" * 200)
    assert isinstance(send, Send)
    assert json.loads(send.text)["type"] == "auth.failure"
    assert shut.code is Close.UNAUTHORIZED  # type: ignore[union-attr]
    assert len(shut.reason.encode()) <= MAX_REASON_BYTES  # type: ignore[union-attr]
    assert session.receive(json.dumps(REGISTER), 1.0) == []


def test_its_token_shows_in_no_representation() -> None:
    session = Session(0.0, "link")
    assert "s3cr3t" not in repr(session.receive(json.dumps(AUTH | {"token": "s3cr3t"}), 0.0))


# ── Sources and capabilities ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_later_registration_adds_and_never_replaces() -> None:
    player = ready()
    for number in (1, 2):
        player.say(
            {
                "type": "source.register",
                "messageId": f"m{number}",
                "sources": [{"provider": "generic", "routingKey": f"key-{number}"}],
            }
        )
    assert player.session.routing_keys == ("key-1", "key-2")
    player.say({"type": "source.register", "messageId": "m3", "sources": []})
    assert player.session.routing_keys == ("key-1", "key-2")
    player.say({"type": "source.deregister", "messageId": "m4", "routingKeys": ["key-1", "never-there"]})
    assert list(player.session.routing_keys) == ["key-2"]
    assert player.sent[-1] == {
        "type": "source.deregister.ack",
        "messageId": "m4",
        "removed": ["key-1", "never-there"],
    }
    assert [amend.routing_keys for amend in player.seen(Amend)][-1] == ("key-2",)


def test_a_manifest_replaces_the_one_before() -> None:
    player = ready()
    player.say(
        {
            "type": "orch.capabilities.update",
            "capabilities": {
                "supportedDashboardRequests": ["dashboard.diagnostics"],
                "newFlag": {"on": True},
            },
        }
    )
    assert set(player.session.capabilities.requests or ()) == {"dashboard.diagnostics"}
    assert player.session.capabilities.extra == {"newFlag": {"on": True}}
    assert len(player.seen(Amend)) == 1
    player.perform(player.session.ask("k", TOGGLE, player.now))
    refused = outcome(player)
    assert refused.why is Refusal.UNSUPPORTED
    assert refused.hint == "Upgrade the orchestrator: connected v0.1.24."
    assert not player.asked("dashboard.registration.disable")


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"registration.disable": False}, Refusal.DENIED),
        ({"registration.disable": "disabled"}, Refusal.DENIED),
    ]
    + [
        ({"registration.disable": state}, Refusal.TIMED_OUT)
        for state in (True, "permissive", "encrypted", "later-word", None)
    ]
    + [({}, Refusal.TIMED_OUT)],
)
def test_a_write_policy_of_either_version_is_understood(policy: Any, why: Refusal) -> None:
    player = ready()
    player.say({"type": "orch.capabilities.update", "capabilities": {"dashboardWrites": policy}})
    player.perform(player.session.ask("k", TOGGLE, player.now))
    player.wait(20)
    assert outcome(player).why is why


def test_contexts_are_asked_for_as_the_orchestrator_spells_them() -> None:
    asked = request("dashboard.contexts.list")
    player = ready()
    player.answers["dashboard.environments.list"] = {
        "type": "dashboard.environments.list.response",
        "environments": [{"name": "prod"}],
    }
    player.perform(player.session.ask("old", asked, player.now))
    player.answers["dashboard.contexts.list"] = {
        "type": "dashboard.contexts.list.response",
        "contexts": [{"name": "prod"}],
    }
    manifest = {"supportedDashboardRequests": ["dashboard.contexts.list", "dashboard.diagnostics"]}
    player.say({"type": "orch.capabilities.update", "capabilities": manifest})
    player.perform(player.session.ask("new", asked, player.now))
    old, new = (each.outcome for each in player.seen(Settle))
    assert old.body["contexts"] == new.body["contexts"] == [{"name": "prod"}]


# ── Heartbeats ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_heartbeat_becomes_a_beat_with_fresh_figures() -> None:
    player = ready()
    player.wait(5)
    player.effects.clear()
    later = json.loads(json.dumps(DIAGNOSTICS))
    later["orchestrator"]["memoryUsedMb"] = 4321
    later["agents"][0]["lastHeartbeatAt"] += 30_000
    player.answers["dashboard.diagnostics"] = later
    player.say(HEARTBEAT)
    [beat] = player.seen(Beat)
    assert beat.figures.memory_used_mb == 4321
    assert [agent.agent_id for agent in beat.agents] == [later["agents"][0]["agentId"]]  # the other one hangs
    assert beat.sent_at is not None


def test_an_orchestrator_that_answers_nothing_still_beats() -> None:
    player = ready()
    player.answers.clear()
    player.wait(29)
    player.effects.clear()
    for _ in range(4):
        player.say(HEARTBEAT)
        player.wait(30)
    assert len(player.seen(Beat)) == 4
    assert not any(beat.agents for beat in player.seen(Beat))


def test_silence_ends_the_link() -> None:
    player = ready()
    player.wait(89)
    assert player.session.healthy(player.now)
    player.wait(2)
    assert not player.session.healthy(player.now)
    assert player.closed is None
    player.wait(90)
    assert player.closed is not None
    assert player.closed.code is Close.HEARTBEAT_TIMEOUT


def test_our_own_sleep_is_not_the_orchestrators_silence() -> None:
    player = ready()
    player.wait(20)
    player.now += 3600  # the machine was suspended
    player.perform(player.session.tick(player.now))
    assert player.closed is None
    player.wait(SILENT_SECONDS)
    assert player.closed is not None


# ── Odd input ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_odd_frames_are_dropped_and_the_link_stays() -> None:
    player = ready()
    odd: list[Any] = [
        [],
        7,
        None,
        "x",
        {},
        {"type": 7},
        {"type": ""},
        {"type": "auth.success"},
        {"type": "dashboard.runs.list"},
    ]
    odd += [
        {"type": "execution.status"},
        {"type": "source.register"},
        AUTH,
        {"type": "some.thing", "requestId": "1"},
    ]
    for frame in odd:
        player.perform(player.session.receive(json.dumps(frame), player.now))
    player.perform(player.session.receive(b"\xff\xfe", player.now))
    player.perform(player.session.receive("{", player.now))
    assert player.closed is None
    assert player.session.counts.unknown == 1
    assert player.session.counts.misplaced == len(odd) + 1
    assert player.session.state is State.READY


def test_nonsense_without_end_closes_the_link() -> None:
    player = ready()
    for _ in range(MAX_MISPLACED + 1):
        player.perform(player.session.receive("nonsense", player.now))
    assert player.closed is not None
    assert player.closed.code is Close.INVALID_MESSAGE
