"""Every mutation is in the table of rights, and none can answer without having asked it."""

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    Undefined,
    build_schema,
)

from kici_gql import auth
from kici_gql.api.schema import sdl
from kici_gql.rules.permissions import ACTIONS, allowed
from kici_gql.tables import Audit, AuditOutcome, TokenScope
from tests.world import World

MUTATIONS = build_schema(sdl()).type_map["Mutation"].fields  # type: ignore[attr-defined]
NAMES = sorted(MUTATIONS)
SAMPLES = {"Int": 1, "Float": 1.0, "Boolean": False, "DateTime": "2027-01-31T12:00:00Z"}


def test_every_mutation_is_in_the_table() -> None:
    assert set(ACTIONS) == set(NAMES)


def test_each_has_somebody_who_may() -> None:
    assert [name for name, scopes in ACTIONS.items() if not scopes] == []


def test_nobody_without_a_scope_may() -> None:
    assert not any(allowed(None, name) for name in ACTIONS)


def test_orchestrators_do_what_orchestrators_do() -> None:
    theirs = {name for name in ACTIONS if allowed(TokenScope.ORCHESTRATOR, name)}
    assert theirs == {name for name in ACTIONS if name.startswith("orchestrator")}
    assert not any(allowed(TokenScope.ADMIN, name) for name in theirs), "reports come from orchestrators only"


def _sample(type_: Any) -> object:
    """A value of an input type that the server can read, with nothing but what is required."""
    match type_:
        case GraphQLNonNull():
            return _sample(type_.of_type)
        case GraphQLList():
            return []
        case GraphQLInputObjectType():
            return {name: _sample(field.type) for name, field in type_.fields.items() if _required(field)}
        case GraphQLEnumType():
            return next(iter(type_.values))
        case _:
            return SAMPLES.get(type_.name, "x")


def _required(field: Any) -> bool:
    return isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined


def _document(name: str) -> tuple[str, dict[str, object]]:
    arguments = {key: arg for key, arg in MUTATIONS[name].args.items() if _required(arg)}
    heads = ", ".join(f"${key}: {arg.type}" for key, arg in arguments.items())
    uses = ", ".join(f"{key}: ${key}" for key in arguments)
    query = f"mutation ({heads}) {{ {name}({uses}) {{ __typename ... on Error {{ code message hint }} }} }}"
    return query, {key: _sample(arg.type) for key, arg in arguments.items()}


@pytest.mark.parametrize("name", NAMES)
async def test_whoever_may_not_hears_so_and_it_is_on_record(world: World, name: str) -> None:
    scope = next(scope for scope in TokenScope if not allowed(scope, name))
    query, variables = _document(name)
    before = await world.dump("audit")
    answer = (await world.data(query, world.viewer(scope), **variables))[name]
    assert answer["__typename"] == "Forbidden", answer
    assert "scope" in answer["hint"]
    assert await world.dump("audit") == before
    [entry] = await world.rows(Audit)
    assert (entry.action, entry.outcome, entry.error_code) == (name, AuditOutcome.REFUSED, "FORBIDDEN")


@pytest.mark.parametrize("name", NAMES)
async def test_no_mutation_ends_without_being_performed(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rights and audit live in `perform`: it must have been run by the time there is an answer."""
    performed: list[str] = []
    require = auth.require

    def noting(viewer: auth.Viewer, action: str) -> None:
        performed.append(action)
        require(viewer, action)

    monkeypatch.setattr(auth, "require", noting)
    scope = next(scope for scope in TokenScope if allowed(scope, name))
    query, variables = _document(name)
    await world.run(query, world.viewer(scope), **variables)
    assert performed == [name]
    assert [entry.action for entry in await world.rows(Audit)] == [name]
