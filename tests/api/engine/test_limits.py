import time
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from graphql import build_schema, get_introspection_query

from kici_gql.api.engine.documents import Documents
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.api.engine.limits import Limits

SCHEMA = build_schema("type Query { a: Int b(x: Int): Query c: [Query] }")

Refusal = Callable[..., dict[str, Any]]

# Seconds here are CPU time of this thread, so that a busy machine does not change the verdict.


@pytest.fixture
def refusal() -> Refusal:
    """The one error of a document that is refused."""

    def refused(text: str, **limits: int) -> dict[str, Any]:
        with pytest.raises(RequestRefused) as caught:
            Documents(SCHEMA, Limits(**limits)).get(text)
        return caught.value.errors[0]

    return refused


def bomb(fragments: int) -> str:
    """Each fragment spreads the next one twice: 2 ** fragments fields in a few hundred bytes."""
    spreads = (f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(fragments))
    return f"{{ ...F0 }} {' '.join(spreads)} fragment F{fragments} on Query {{ a }}"


@pytest.mark.parametrize(
    ("text", "limit", "number"),
    [
        ("{ b { b { b { a } } } }", "max_depth=3", "4"),
        ("{ ...F } fragment F on Query { b { ... on Query { b { b { a } } } } }", "max_depth=3", "4"),
        ("{ x: a y: a z: a }", "max_aliases=2", "3"),
        ("{ b { ...F } c { ...F } } fragment F on Query { x: a y: a }", "max_aliases=2", "4"),
        ("{ a b { a } c { a b { a } } }", "max_fields=6", "7"),
        ("{ b { ...F } c { ...F } } fragment F on Query { a b { a } }", "max_fields=6", "10"),
        ("{ a ...F } fragment F on Query { b { a } c { a } }", "max_root_fields=2", "3"),
        ("{ b { a } b { a } ... { b { a } } }", "max_repeats=2", "3"),
        ("query A { a } query B { a } query C { a }", "max_operations=2", "3"),
    ],
)
def test_what_is_too_much_is_refused_with_limit_and_number(
    refusal: Refusal, text: str, limit: str, number: str
) -> None:
    name, _, value = limit.partition("=")
    error = refusal(text, **{name: int(value)})
    assert limit in error["message"]
    assert f" {number}, " in error["message"]
    assert error["extensions"] == {"code": "LIMIT_EXCEEDED", "retryable": False}


@pytest.mark.parametrize(
    ("limits", "text"), [({"max_tokens": 4}, "{ a a a a }"), ({"max_document_chars": 9}, "{ aaaaaaaa }")]
)
def test_the_parser_stops_at_its_own_limits(refusal: Refusal, limits: dict[str, int], text: str) -> None:
    error = refusal(text, **limits)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    (name, value), *_ = limits.items()
    assert f"{name}={value}" in error["message"]


def test_a_bomb_of_twenty_fragments_is_judged_within_a_tenth_of_a_second() -> None:
    documents = Documents(SCHEMA, Limits())
    began = time.thread_time()
    for fragments in (20, 60):
        with pytest.raises(RequestRefused, match="max_fields=500"):
            documents.get(bomb(fragments))
    assert time.thread_time() - began < 0.1


def test_a_document_nested_beyond_all_measure_is_refused(refusal: Refusal) -> None:
    assert (
        refusal("{ b " * 1400 + "{ a }" + "}" * 1400, max_tokens=10**6)["extensions"]["code"]
        == "LIMIT_EXCEEDED"
    )


def test_the_quadratic_rules_of_validation_see_no_long_repetition(refusal: Refusal) -> None:
    began = time.thread_time()
    for text in ("{" + "b { a } " * 200 + "}", "{" + "... { b { a } } " * 150 + "}"):
        assert "max_repeats=16" in refusal(f"{{ b {text} }}")["message"]
    assert time.thread_time() - began < 0.1


def test_the_worst_that_is_allowed_validates_quickly() -> None:
    names = [f"x{i}" for i in range(25)]
    text = "{ b {" + " ".join(f"{name}: b {{ {'a ' * 8} }}" for name in names for _ in range(2)) + "} }"
    began = time.thread_time()
    Documents(SCHEMA, Limits()).get(text)
    assert time.thread_time() - began < 0.2


def test_cyclic_fragments_are_refused_at_once(refusal: Refusal) -> None:
    names = "ABCDEFGHIJ"
    web = " ".join(
        f"fragment {x} on Query {{ {' '.join(f'...{y}' for y in names if y != x)} }}" for x in names
    )
    assert len(list(permutations(names, 2))) == web.count("...")
    for text in ("{ ...A } fragment A on Query { b { ...A } }", f"{{ ...A }} {web}"):
        error = refusal(text)
        assert error["message"].startswith("Cannot spread fragment")
        assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_unknown_fragments_are_left_to_validation(refusal: Refusal) -> None:
    assert refusal("{ a ...Nowhere }")["message"] == "Unknown fragment 'Nowhere'."


def test_the_standard_introspection_query_passes() -> None:
    text = get_introspection_query(
        input_value_deprecation=True, specified_by_url=True, schema_description=True
    )
    assert Documents(SCHEMA, Limits()).get(text).operations
