"""Generated code against graphql-core: random documents over random data, byte for byte.

`KICI_RANDOM_DOCUMENTS=5000 pytest tests/api/engine/test_compiled.py` asks for thousands of each kind.
"""

import logging
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from kici_gql.api.engine.compiled.cache import Compilations
from kici_gql.api.engine.compiled.operation import Compiled
from kici_gql.api.engine.compiled.running import LastingValues
from kici_gql.api.engine.execution import Execution, executed
from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.requests import GraphQLRequest
from tests.api.engine import zoo
from tests.api.engine.toys import Viewer

DOCUMENTS = int(os.environ.get("KICI_RANDOM_DOCUMENTS", "60"))
ALICE = Viewer("alice")
LIMITS = Limits(
    max_fields=10_000, max_depth=100, max_aliases=10_000, max_tokens=100_000, max_root_fields=1000
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Masked errors are logged, and there are thousands here."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def operations(trouble: int = 0, **limits: int) -> Operations:
    chosen = Limits(**{**{name: getattr(LIMITS, name) for name in LIMITS.__slots__}, **limits})
    return Operations(zoo.schema, lambda viewer, request_id: zoo.Keeper(trouble), limits=chosen)


class Both:
    """Executes with both executors."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._execution: Execution = operations._execution  # noqa: SLF001

    async def answers(self, query: str, **variables: Any) -> tuple[bytes, bytes, Compilations]:
        """What graphql-core says, what the generated code says; the second falls back by itself."""
        prepared = self._operations.prepare(GraphQLRequest(query, variables=variables))
        request = prepared.request
        executor = self._execution.executor(prepared.document, request, ALICE, "r1")
        reference = await executed(executor, "r1")
        prepared.operation.compilations.get(zoo.schema, executor, at_once=True)
        result = await self._operations.run(prepared, ALICE, "r1")
        return reference, result.body, prepared.operation.compilations


@pytest.mark.parametrize(("seed", "odds"), [(1, 0), (2, 0), (3, 60), (4, 15)])
async def test_random_documents_over_random_data_get_the_same_bytes(seed: int, odds: int) -> None:
    dice, query = random.Random(seed), ""
    both, documents, data = Both(operations(trouble=odds)), zoo.Documents(dice), zoo.Data(dice, odds)
    compiled = 0
    for number in range(DOCUMENTS * 3):
        data.install()
        query = documents.query() if number % 3 == 0 else query
        switch = number % 7 == 0
        reference, answer, compilations = await both.answers(
            query, yes=not switch, no=switch, count=number % 4
        )
        assert answer == reference, query
        compiled += any(isinstance(each, Compiled) for each in compilations._variants.values())  # noqa: SLF001
        compiled -= compilations._failures > 0  # noqa: SLF001
    assert compiled == DOCUMENTS * 3 if not odds else compiled > DOCUMENTS / 4


@pytest.mark.parametrize(
    "query",
    [
        "{ cat { place } }",
        "{ __schema { queryType { name } } cat { name } }",
        "{ animals { ... on Cat { sick } } }",
        "{ things { __typename } }",
    ],
)
async def test_what_generated_code_does_not_know_is_answered_by_graphql_core(query: str) -> None:
    zoo.Data(random.Random(5), 3).install()
    reference, answer, _ = await Both(operations(trouble=1)).answers(query)
    assert answer == reference


async def test_the_budget_of_values_is_the_same(log: Any) -> None:
    zoo.Data(random.Random(7), 0).install()
    query = (
        "{ animals { name legs ... on Cat { things { __typename ... on Note { words tag { text } } } } } }"
    )
    for limit in range(1, 60):
        reference, answer, _ = await Both(operations(max_values=limit)).answers(query)
        assert answer == reference, limit


async def test_what_lasts_is_made_once_and_counts_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cat = zoo.Data(random.Random(7), 0).cat(0)
    cat.trouble = 2
    marks = zoo.MARKS[cat.trouble]
    assert marks
    monkeypatch.setitem(zoo._DATA, "animals", [cat] * 5)  # noqa: SLF001
    query = "{ animals { ... on Cat { name marks { text weight shout } legs } } }"
    for limit in range(1, 60):
        tight = Both(operations(max_values=limit))
        for _ in range(3):
            reference, answer, _ = await tight.answers(query)
            assert answer == reference, limit
    both = Both(operations())
    await both.answers(query)  # the first time it is left to graphql-core
    reference, answer, _ = await both.answers(query)
    assert answer == reference
    monkeypatch.setattr(marks[0], "text", "changed, against the promise")
    assert (await both.answers(query))[1] == answer


def test_of_what_lasts_little_is_kept() -> None:
    kept = LastingValues()
    for number in range(1000):
        value = [number]
        kept.add(value, "shown", 1)
        assert kept[id(value)].value is value
    assert len(kept) <= 256


WISH = """mutation ($input: Wish!, $times: Int) {
  wish(input: $input, times: $times) { __typename ... on Note { words tag { text } } } }"""


@pytest.mark.parametrize(
    "variables",
    [
        {"input": {"name": "a"}},
        {"input": {"name": "a", "size": "LARGE", "tags": ["x"], "weight": 1.5, "inner": {"name": "b"}}},
        {"input": {"name": "a", "weight": None, "inner": None}, "times": None},
        {"input": {"name": "a", "weight": 2, "tags": "one"}, "times": 3},
        {"input": {"name": "a", "inner": {"name": "b", "inner": {"name": "c", "tags": []}}}},
        {"input": {"name": 5}},
        {"input": {"name": "a", "size": "HUGE"}},
        {"input": {"name": "a", "size": None}},
        {"input": {"name": "a", "colour": "red"}},
        {"input": {}},
        {"input": None},
        {},
        {"input": {"name": "a"}, "times": 2**31},
        {"input": {"name": "a"}, "times": 1.0},
        {"input": {"name": "a"}, "unknown": 1},
        {"input": {"name": "error"}},
        {"input": {"name": "null"}},
        {"input": [{"name": "a"}]},
    ],
)
async def test_a_hot_mutation_takes_and_refuses_what_graphql_core_does(variables: dict[str, Any]) -> None:
    cold, hot = operations(), operations()
    prepared = hot.prepare(GraphQLRequest(WISH, variables={"input": {"name": "warm"}}))
    for _ in range(2):
        await hot.run(prepared, ALICE, "r1")
    assert prepared.operation.compilations.hot is not None
    outcomes = []
    for each in (cold, hot):
        zoo.CALLS.clear()
        try:
            answer = (
                await each.run(each.prepare(GraphQLRequest(WISH, variables=variables)), ALICE, "r1")
            ).body
        except Exception as refused:  # noqa: BLE001 - compared, whatever it is
            answer = repr(getattr(refused, "errors", refused)).encode()
        outcomes.append((answer, list(zoo.CALLS)))
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[1][1]) <= 1, "a mutation's resolver runs once, whoever completes its answer"


async def test_an_input_with_a_will_of_its_own_is_asked() -> None:
    system = operations()
    query = "mutation ($input: Call!) { call(input: $input) }"
    prepared = system.prepare(GraphQLRequest(query, variables={"input": {"text": "hey"}}))
    answers = {(await system.run(prepared, ALICE, "r1")).body for _ in range(3)}
    assert prepared.operation.compilations.hot is not None
    assert answers == {b'{"data":{"call":"HEY all"}}'}


async def test_what_fails_again_and_again_is_left_to_graphql_core() -> None:
    zoo.Data(random.Random(5), 0).install()
    system = operations()
    prepared = system.prepare(GraphQLRequest("{ animals { ... on Cat { place } } }"))
    for _ in range(40):
        await system.run(prepared, ALICE)
    assert prepared.operation.compilations._failures <= 21  # noqa: SLF001


async def test_generated_code_is_much_quicker() -> None:
    zoo._DATA["things"] = [zoo.Note(words=["x"] * 5, tag=zoo.Tag(text="a"))] * 500  # noqa: SLF001
    query = "{ things { ... on Note { words constant tag { text weight } } } }"
    system = operations()
    prepared = system.prepare(GraphQLRequest(query))
    seconds, body = [], b""
    for _ in range(4):
        begun = time.process_time()
        body = (await system.run(prepared, ALICE)).body
        seconds.append(time.process_time() - begun)
    assert len(orjson.loads(body)["data"]["things"]) == 500
    assert min(seconds[2:]) * 5 < seconds[0]
