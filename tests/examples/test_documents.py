"""Every operation that the examples and `kici-gql watch` send is one that the server knows."""

import json
import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

import watch_fleet
from kici_gql.api.schema import sdl
from kici_gql.cli.fleet import OPERATIONS
from orchestrator import client

EXAMPLES = Path(__file__).parents[2] / "examples"


def of_the_shell() -> str:
    (text,) = re.findall(r'\\"query\\": (\\".*\\"),$', (EXAMPLES / "watch_sse.sh").read_text(), re.MULTILINE)
    return str(json.loads(text.replace('\\"', '"').replace("\\$", "$")))


def of_node() -> str:
    (text,) = re.findall(r"GraphQL \*/ `(.*?)`", (EXAMPLES / "watch_fleet.mjs").read_text(), re.DOTALL)
    return str(text)


DOCUMENTS = {
    **{f"orchestrator-{number}": document for number, document in enumerate(client.DOCUMENTS)},
    **{f"cli-{name}": document for name, document in OPERATIONS.items()},
    "python": watch_fleet.SUBSCRIPTION,
    "shell": of_the_shell(),
    "node": of_node(),
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(sdl())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_server_knows_what_is_asked(name: str, schema: GraphQLSchema) -> None:
    assert validate(schema, parse(DOCUMENTS[name])) == []
