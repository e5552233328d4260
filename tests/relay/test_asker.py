"""What is asked of an orchestrator to see its cluster's settings."""

import asyncio
from typing import Any

import pytest

from kici_gql.errors import Unavailable
from kici_gql.relay import asker
from kici_gql.relay.asker import LinkAsker, protection_rules
from kici_gql.relay.messages.answers import Answered, Outcome, Refusal, Refused
from kici_gql.relay.messages.introduction import Capabilities
from kici_gql.relay.messages.requests import Request
from kici_gql.tables import Surface
from tests.relay.recorded import ENVIRONMENT_ANSWERS


def of_context(**more: Any) -> dict[str, Any]:
    return {"context": {"branchRestrictions": None, "concurrencyLimit": None} | more}


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (of_context(), []),
        (of_context(branchRestrictions=["main", "v*"]), [("branch_restrictions", "main, v*")]),
        (of_context(requiredReviewers=2), [("required_reviewers", "2")]),
        (of_context(waitTimerSeconds=90), [("wait_timer", "90 s")]),
        (
            of_context(concurrencyLimit=1, concurrencyStrategy="queue"),
            [("concurrency_limit", "1 at once, then queue")],
        ),
        ({"context": "nonsense"}, []),
    ],
)
def test_what_guards_an_environment(body: dict[str, Any], rules: list[tuple[str, str]]) -> None:
    assert [(each["type"], each["description"]) for each in protection_rules(body)] == rules


@pytest.mark.parametrize(("why", "asked"), [(Refusal.FAILED, 2), (Refusal.TIMED_OUT, 1)])
async def test_an_environment_that_is_not_answered_for_is_told_as_far_as_it_is_known(
    why: Refusal, asked: int
) -> None:
    """After silence the next one is not asked about: the user would wait for each."""
    [one] = ENVIRONMENT_ANSWERS["dashboard.environments.list"]["environments"]
    contexts = [one, one | {"name": "other", "type": "glob", "globPattern": "o*"}]
    seen: list[str] = []

    async def ask(request: Request) -> Outcome:
        seen.append(request.kind.type)
        if request.kind.type == "dashboard.contexts.list":
            return Answered({"contexts": contexts})
        return Refused(why, "no")

    told = await LinkAsker(ask, Capabilities, lambda: ()).ask(Surface.ENVIRONMENTS)
    assert [(each["name"], each["globPattern"]) for each in told["items"]] == [
        ("production", None),
        ("other", "o*"),
    ]
    assert all("variableNames" not in each for each in told["items"])
    assert seen.count("dashboard.contexts.get") == asked


async def test_a_long_list_is_not_late_for_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker, "DETAILS_SECONDS", 0.0)
    contexts = ENVIRONMENT_ANSWERS["dashboard.environments.list"]["environments"] * 3
    seen: list[str] = []

    async def ask(request: Request) -> Outcome:
        seen.append(request.kind.type)
        return Answered({"contexts": contexts})

    told = await LinkAsker(ask, Capabilities, lambda: ()).ask(Surface.ENVIRONMENTS)
    assert len(told["items"]) == 3
    assert seen == ["dashboard.contexts.list"]


async def test_who_asks_for_the_same_shares_an_answer_that_is_newer_than_the_question() -> None:
    asked: list[asyncio.Future[Outcome]] = []

    async def ask(_request: Request) -> Outcome:
        asked.append(asyncio.get_running_loop().create_future())
        return await asked[-1]

    shared = LinkAsker(ask, Capabilities, lambda: ())

    def look() -> asyncio.Task[Any]:
        return asyncio.create_task(shared.ask(Surface.SECRET_SCOPES))

    early = [look() for _ in range(3)]
    await asyncio.sleep(0.01)
    late = [look() for _ in range(3)]
    early[0].cancel()
    late[0].cancel()
    await asyncio.sleep(0.01)
    assert len(asked) == 1
    asked[0].set_result(Answered({"secrets": [{"scope": "pg:one", "key": "A"}]}))
    told = await asyncio.gather(*early[1:])
    await asyncio.sleep(0.01)
    asked[1].set_result(Refused(Refusal.FAILED, "boom"))
    refused = await asyncio.gather(*late[1:], return_exceptions=True)
    assert [each["items"][0]["name"] for each in told] == ["pg:one"] * 2
    assert [type(each) for each in refused] == [Unavailable] * 2
    assert len(asked) == 2
