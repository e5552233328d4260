import pytest
from graphql import OperationType

from kici_gql.api.engine.compiled.cache import Compilations, Room
from kici_gql.api.engine.documents import Documents, Operation
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.api.engine.limits import Limits
from tests.api.engine.toys import schema

CORE = schema._schema  # noqa: SLF001 - Strawberry has no public name for it


@pytest.fixture
def documents() -> Documents:
    return Documents(CORE, Limits(), max_documents=3, max_bytes=200)


def test_a_text_is_parsed_once(documents: Documents) -> None:
    assert documents.get("{ hello }") is documents.get("{ hello }")


def test_errors_are_remembered_as_well(documents: Documents) -> None:
    seen = []
    for _ in range(2):
        with pytest.raises(RequestRefused) as caught:
            documents.get("{ helo }")
        seen.append(caught.value.errors[0])
    assert seen[0] is seen[1]
    assert seen[0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert seen[0]["locations"] == [{"line": 1, "column": 3}]


def test_syntax_errors_have_a_code_and_a_place(documents: Documents) -> None:
    with pytest.raises(RequestRefused) as caught:
        documents.get("{ hello ")
    assert caught.value.errors[0]["extensions"] == {"code": "GRAPHQL_PARSE_FAILED"}
    assert caught.value.errors[0]["locations"] == [{"line": 1, "column": 9}]


def test_the_least_recently_used_text_goes_first(documents: Documents) -> None:
    texts = [f"{{ n{i}: hello }}" for i in range(4)]
    first = documents.get(texts[0])
    documents.get(texts[1])
    documents.get(texts[2])
    documents.get(texts[0])
    documents.get(texts[3])
    assert len(documents) == 3
    assert documents.get(texts[0]) is first


def test_long_texts_push_the_others_out(documents: Documents) -> None:
    documents.get("{ hello }")
    documents.get("{ hello } #" + "x" * 185)
    assert len(documents) == 1


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("query A { hello } query B { hello }", None, "Must provide operation name"),
        ("query A { hello } query B { hello }", "C", "Unknown operation named 'C'"),
        ("query A { hello }", "", "Unknown operation named ''"),
    ],
)
def test_the_operation_must_be_named_and_known(
    documents: Documents, text: str, name: str | None, message: str
) -> None:
    with pytest.raises(RequestRefused, match=message):
        documents.get(text).operation(name)


def test_each_operation_knows_its_kind(documents: Documents) -> None:
    document = documents.get(
        "query Q { hello } mutation M { add(value: 1) } subscription S { count(upto: 1) }"
    )
    kinds = {name: document.operation(name).kind for name in "QMS"}
    assert kinds == {"Q": OperationType.QUERY, "M": OperationType.MUTATION, "S": OperationType.SUBSCRIPTION}


def shape(text: str) -> Operation:
    return Documents(CORE, Limits()).get(text).operation(None)


SAME = [
    "subscription { ticks { kind cursor } }",
    "subscription  Named{ticks{kind,cursor}} # a comment",
    'subscription { ticks(modulo: 3, after: "17") { kind cursor } }',
    "subscription A($m: Int!, $after: String) { ticks(modulo: $m, after: $after) { kind cursor } }",
]


def test_arguments_names_comments_and_white_space_do_not_part_readers() -> None:
    assert len({(shape(text).shape, shape(text).shape_variables) for text in SAME}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "subscription { ticks { cursor kind } }",
        "subscription { ticks { kind cursor values } }",
        "subscription { t: ticks { kind cursor } }",
        "subscription { ticks { kind: cursor cursor } }",
        "subscription ($x: Boolean!) { ticks { kind @skip(if: $x) cursor } }",
        "subscription { ticks { ...F } } fragment F on Tick { kind }",
    ],
)
def test_whatever_changes_the_bytes_parts_readers(text: str) -> None:
    assert shape(text).shape != shape(SAME[0]).shape


def test_variables_below_the_root_field_are_named() -> None:
    text = """subscription ($a: String, $b: Boolean!, $c: Boolean!) { ...Root }
    fragment Root on Subscription { ticks(after: $a) { kind @skip(if: $b) ...Deep } }
    fragment Deep on Tick { cursor @include(if: $c) }"""
    assert shape(text).shape_variables == ("b", "c")


def test_what_nests_too_deeply_is_said_to_do_so() -> None:
    with pytest.raises(RequestRefused) as caught:
        Documents(CORE, Limits()).get("{ hello(name: " + "[" * 250 + "]" * 250 + ") }")
    [error] = caught.value.errors
    assert error["message"] == "The document nests too deeply to be parsed."
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"


def test_generated_code_that_was_wanted_least_recently_makes_way() -> None:
    room = Room(max_fields=10)
    some, others = Compilations((), room), Compilations((), room)
    for owner, variant, fields in ((some, "a", 4), (some, "b", 4)):
        owner._variants[variant] = None  # noqa: SLF001 - as if it had been generated
        room.take(owner, variant, fields)
    room.use(some, "a")
    others._variants["c"] = None  # noqa: SLF001
    room.take(others, "c", 5)
    assert list(some._variants) == ["a"]  # noqa: SLF001
    assert room.fields == 9
