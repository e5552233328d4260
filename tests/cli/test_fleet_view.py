"""How the tree looks."""

from rich.console import Console

from kici_gql.cli.fleet_view import View
from kici_gql.cli.live import Dropped
from tests.cli.samples import agent, alert, events, orchestrator, snapshot


def view(*agents: dict[str, object]) -> View:
    it = View("default", "http://box:8080")
    it.fleet.apply("infrastructure", snapshot(*agents, second=3), received_at=100.0)
    return it


def drawn(it: View, now: float = 100.0, height: int = 50, width: int = 160) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(it.render(now, height))
    return capture.get().splitlines()


def test_the_tree_has_every_level() -> None:
    lines = drawn(view(agent("a-1"), agent("own", scaler=None)))
    assert [line.lstrip("│├└─ ").split("  ")[0].rstrip() for line in lines[1:]] == [
        "org default",
        "cluster lab",
        "orchestrator north ONLINE 3 s ago",
        "scaler metal 1/4 agents",
        "agent a-1 ONLINE 3 s ago",
        "agent own ONLINE 3 s ago",
    ]
    text = "\n".join(lines)
    for fact in [
        "kici@box",
        "linux/x64",
        "8 CPUs",
        "2.0/16.0 GB",
        "up 25 h",
        "1 running, 0 queued",
        "bare-metal · linux",
    ]:
        assert fact in text
    assert "kici:os" not in text


def test_ages_grow_while_nothing_comes() -> None:
    assert "agent a-1 ONLINE 8 s ago" in "\n".join(drawn(view(agent("a-1")), now=105.0))
    assert "last frame 5 s ago" in drawn(view(), now=105.0)[0]


def test_who_needs_attention_comes_first_with_the_reason() -> None:
    lines = drawn(
        view(agent("a-10"), agent("a-9"), agent("a-2", "LATE"), agent("a-3", "LOST"), agent("a-1", "OFFLINE"))
    )
    agents = [line.split("agent ")[1].split()[0] for line in lines if "agent " in line]
    assert agents == ["a-3", "a-2", "a-9", "a-10", "a-1"]
    assert "LOST 3 s ago (it is LOST)" in "\n".join(lines)


def test_a_small_terminal_shows_the_worst_and_counts_the_rest() -> None:
    agents = [agent(f"a-{number}") for number in range(500)] + [agent("sick", "LOST")]
    lines = drawn(view(*agents), height=20)
    assert len(lines) <= 20
    assert any("sick" in line for line in lines)
    assert "more, ONLINE" in lines[-1]


def test_a_line_too_long_is_cut_and_not_wrapped() -> None:
    assert len(drawn(view(agent("a-1")), width=40)) == len(drawn(view(agent("a-1")), width=200))


def test_a_stream_that_is_gone_is_said_with_the_age_of_the_data() -> None:
    it = view(agent("a-1"))
    it.dropped = Dropped("connection refused", 2.0)
    assert "no stream" in drawn(it, now=142.0)[0]
    assert "connection refused; what you see is 42 s old" in drawn(it, now=142.0)[0]
    it.fleet = type(it.fleet)()
    assert "nothing was ever received" in drawn(it)[0]


def test_before_the_first_frame_it_says_that_it_connects() -> None:
    assert "connecting to http://box:8080" in drawn(View("default", "http://box:8080"))[0]


def test_an_empty_org_says_so() -> None:
    it = View("default", "http://box:8080")
    empty = snapshot() | {
        "snapshot": {"clusters": [], "orchestrators": [], "scalers": [], "agents": [], "alerts": []}
    }
    it.fleet.apply("infrastructure", empty, received_at=100.0)
    assert "no cluster yet" in drawn(it)[-1]


def test_a_cluster_tells_of_its_rename_and_its_absence() -> None:
    it = view()
    cluster = it.fleet.clusters["C:lab"] | {"pendingName": "prod", "autoNamed": True}
    gone = orchestrator(connected=False, liveness={"state": "OFFLINE", "reason": "stopped"})
    it.fleet.apply("infrastructure", events(
        {"__typename": "ClusterChanged", "cluster": cluster}, {"__typename": "OrchestratorChanged", "orchestrator": gone}
    ), received_at=100.0)  # fmt: skip
    lines = drawn(it)
    assert "→ prod at the next connect disconnected  name by the server" in lines[2]
    assert "OFFLINE" in lines[3]


def test_one_never_heard_and_paused() -> None:
    text = "\n".join(
        drawn(
            view(agent("a-1", "NEVER_SEEN", second=None, paused=True, memoryUsedMb=None, uptimeSeconds=None))
        )
    )
    assert "NEVER_SEEN never heard" in text
    assert "0/1 jobs, paused" in text


def test_alerts_stand_on_top_the_worst_first() -> None:
    it = view()
    raised = [alert("slow", second=2), alert("gone", "CRITICAL", "ACKNOWLEDGED"), alert("new", second=3)]
    happened = [
        {"__typename": "AlertChanged", "alert": each} for each in [*raised, alert("old", state="RESOLVED")]
    ]
    it.fleet.apply("infrastructure", events(*happened, second=3), received_at=100.0)
    assert drawn(it)[1:4] == [
        "▲ CRITICAL gone, 3 s ago (acknowledged)",
        "▲ WARNING new, 0 s ago",
        "▲ WARNING slow, 1 s ago",
    ]
    resolved = {"__typename": "AlertChanged", "alert": alert("gone", state="RESOLVED")}
    it.fleet.apply("infrastructure", events(resolved, second=3), received_at=100.0)
    assert "gone" not in "\n".join(drawn(it))


def test_many_alerts_are_counted() -> None:
    it = view()
    happened = [{"__typename": "AlertChanged", "alert": alert(f"a-{number}")} for number in range(9)]
    it.fleet.apply("infrastructure", events(*happened), received_at=100.0)
    assert drawn(it)[6] == "▲ and 4 more alerts"


def test_several_orchestrators_of_a_cluster_are_counted() -> None:
    it = view()
    south = orchestrator(id="O:south", displayId="south", connected=False)
    it.fleet.apply(
        "infrastructure", events({"__typename": "OrchestratorChanged", "orchestrator": south}), 100.0
    )
    assert "cluster lab 1/2 orchestrators" in "\n".join(drawn(it))
