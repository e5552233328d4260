"""The schema as its readers see it: every element described, and the file in the repository equal to the code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    specified_directives,
)

from kici_gql.api.schema import sdl
from kici_gql.errors import ErrorCode, KiciError

SDL = sdl()
SCHEMA: GraphQLSchema = build_schema(SDL)
TYPES = {name: type_ for name, type_ in SCHEMA.type_map.items() if not name.startswith("__")}
BUILT_IN = {"String", "Int", "Float", "Boolean", "ID"}


def elements() -> Iterator[tuple[str, str | None]]:
    """Every element of the schema and its description."""
    for name, type_ in TYPES.items():
        if name not in BUILT_IN:
            yield name, type_.description
        members: dict[str, Any] = {}
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            members = type_.fields
        elif isinstance(type_, GraphQLEnumType):
            members = type_.values
        for key, member in members.items():
            yield f"{name}.{key}", member.description
            for argument, definition in getattr(member, "args", {}).items():
                yield f"{name}.{key}({argument}:)", definition.description
    for directive in SCHEMA.directives:
        if directive not in specified_directives and directive.name not in {"oneOf", "defer", "stream"}:
            yield f"@{directive.name}", directive.description  # Strawberry can't describe their arguments


def test_every_element_is_described() -> None:
    assert [name for name, description in elements() if not (description or "").strip()] == []


def test_descriptions_are_sentences() -> None:
    assert [name for name, text in elements() if text and text.strip()[-1] not in ".`"] == []


def test_the_file_in_the_repository_is_what_the_code_says() -> None:
    path = Path(__file__).parents[2] / "schema.graphql"
    assert path.read_text() == SDL, "run `make schema`"


def test_every_mutation_takes_one_input_and_answers_a_union() -> None:
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert list(field.args) == ["input"], name
        assert isinstance(field.type, GraphQLNonNull), name
        union = field.type.of_type
        assert isinstance(union, GraphQLUnionType), name
        [success] = [each for each in union.types if each.name.endswith("Success")]
        errors = [each for each in union.types if each is not success]
        assert all("Error" in [each.name for each in error.interfaces] for error in errors), name
        assert "Forbidden" in [each.name for each in errors], f"{name} can be refused"
        assert "cursor" in success.fields, f"{name} names the position it reached"


def test_an_idempotency_key_comes_with_its_conflict() -> None:
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        given = field.args["input"].type.of_type.fields
        union = {each.name for each in field.type.of_type.types}
        assert ("idempotencyKey" in given) == ("IdempotencyConflict" in union), name
        assert ("expectedVersion" in given) == ("VersionConflict" in union), name


def test_every_error_type_has_a_code() -> None:
    codes = {code.value for code in ErrorCode}
    kinds = {each.__name__ for each in _all_kinds(KiciError)}
    interface = TYPES["Error"]
    for type_ in SCHEMA.get_implementations(interface).objects:  # type: ignore[arg-type]
        assert type_.name in kinds
    assert set(TYPES["ErrorCode"].values) == codes  # type: ignore[attr-defined]


def _all_kinds(kind: type[KiciError]) -> Iterator[type[KiciError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _all_kinds(each)


FRAMES: list[Any] = [type_ for name, type_ in TYPES.items() if name.endswith("Frame") and name != "Frame"]


@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_every_frame_has_one_shape(frame: GraphQLObjectType) -> None:
    assert [each.name for each in frame.interfaces] == ["Frame"]
    assert "events" in frame.fields
    assert str(frame.fields["events"].type).endswith("!]!")


def test_every_event_says_how_it_is_delivered() -> None:
    events = {
        member
        for frame in FRAMES
        for member in getattr(
            getattr(frame.fields["events"].type.of_type.of_type, "of_type", None), "types", []
        )
    }
    assert events
    for event in events:
        assert f"type {event.name} @delivery(class: " in SDL, event.name


def test_names_of_times_and_amounts_say_their_unit() -> None:
    for name, type_ in TYPES.items():
        if isinstance(type_, GraphQLObjectType):
            for key, field in type_.fields.items():
                plain = str(field.type).strip("!")
                if plain == "DateTime":
                    assert key.endswith("At") or key in {"at", "since", "until", "time"}, f"{name}.{key}"
                if "memory" in key.lower():
                    assert key.endswith("Mb"), f"{name}.{key}"
