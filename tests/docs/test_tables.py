"""What the pages list is what the code has."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType, GraphQLUnionType, build_schema, get_named_type
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Mount

from kici_gql import errors
from kici_gql.api.engine import faults
from kici_gql.api.enums import FrameKind
from kici_gql.api.schema import sdl
from kici_gql.api.transport import session
from kici_gql.api.transport.http import _status
from kici_gql.app import create_app
from kici_gql.errors import ErrorCode, KiciError
from kici_gql.rules import permissions
from kici_gql.settings import Settings
from kici_gql.tables import TokenScope
from tests.docs.markdown import DOCS, column, table

ERRORS, OPERATIONS, SUBSCRIPTIONS = (
    DOCS / f"{name}.md" for name in ("errors", "operations", "subscriptions")
)


# ── errors.md ──


def classes(of: type[KiciError] = KiciError) -> Iterator[type[KiciError]]:
    """The errors that are raised: what a class has below it comes after it."""
    for each in of.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from classes(each)


def raised(cls: type[KiciError]) -> KiciError:
    more: dict[type[KiciError], dict[str, Any]] = {
        errors.OperationDisabled: {"operation": "x", "command_line": "x"},
        errors.VersionConflict: {"current_id": "x"},
    }
    return cls("wrong", **more.get(cls, {}))


def test_every_error_is_told() -> None:
    told = {row[0]: row[1:4] for row in table(ERRORS, "code", "class", "retryable", "HTTP", "meaning")}
    assert told == {
        f"`{cls.code}`": [
            f"`{cls.__name__}`",
            "yes" if cls.retryable else "no",
            str(_status(raised(cls))[0]),
        ]
        for cls in classes()
    }
    assert len(told) == len(ErrorCode)


def test_what_is_masked_is_retryable() -> None:
    masked = faults.from_exception(ValueError("secret"), "r")
    assert masked["extensions"] == {"code": "INTERNAL", "requestId": "r", "retryable": True}


def test_the_codes_of_graphql_itself_are_told() -> None:
    codes = {faults.PARSE_FAILED, faults.VALIDATION_FAILED, faults.UNKNOWN_OPERATION, faults.BAD_REQUEST}
    assert set(column(ERRORS, "code", "HTTP", "meaning")) == codes


# ── subscriptions.md ──


def _docstrings_of(enum: str, source: Path) -> dict[str, str]:
    """The text below each member, which Python itself forgets."""
    tree = ast.parse(source.read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum)
    pairs = pairwise(body)
    return {
        member.targets[0].id: text.value.value
        for member, text in pairs
        if isinstance(member, ast.Assign)
        and isinstance(member.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def test_every_close_code_is_told() -> None:
    told = [row[:2] for row in table(SUBSCRIPTIONS, "code", "name", "meaning", "connect again?")]
    assert told == [[str(int(code)), f"`{code.name}`"] for code in sorted(session.Close)]
    assert _docstrings_of("Close", Path(session.__file__)).keys() == {code.name for code in session.Close}


def test_every_kind_of_frame_is_told() -> None:
    assert set(column(SUBSCRIPTIONS, "kind", "when", "what a client does")) == {
        kind.value for kind in FrameKind
    }


def streams() -> dict[str, tuple[list[str], list[str]]]:
    """Arguments and event types of each stream."""
    schema = build_schema(sdl())
    root = schema.subscription_type
    assert root is not None
    found = {}
    for name, stream in root.fields.items():
        frame = get_named_type(stream.type)
        assert isinstance(frame, GraphQLObjectType)
        event = get_named_type(frame.fields["events"].type)
        types = [each.name for each in event.types] if isinstance(event, GraphQLUnionType) else [event.name]
        found[name] = (sorted(stream.args), sorted(types))
    return found


def _codes(cell: str) -> list[str]:
    return sorted(part.strip("` ") for part in cell.split(","))


def test_every_stream_is_told() -> None:
    rows = table(SUBSCRIPTIONS, "stream", "arguments", "events", "snapshot")
    assert {row[0].strip("`"): (_codes(row[1]), _codes(row[2])) for row in rows} == streams()


def test_the_delivery_of_every_event_is_told() -> None:
    found = re.findall(r"^type (\w+) @delivery\(class: (\w+)\)", sdl(), re.MULTILINE)
    classes_of = dict(found)
    told = {row[0].strip("`"): row[1] for row in table(SUBSCRIPTIONS, "event", "delivery")}
    assert told == classes_of
    assert told.keys() == {event for _, events in streams().values() for event in events}


@pytest.mark.parametrize("page", [SUBSCRIPTIONS, OPERATIONS], ids=lambda page: page.stem)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {f"KICI_GQL_{name.upper()}" for name in Settings.model_fields} | {
        "KICI_GQL_URL",
        "KICI_GQL_TOKEN",
    }
    assert set(re.findall(r"KICI_GQL_[A-Z_]+", page.read_text())) - known == set()


# ── operations.md ──


@pytest.fixture
async def client(sqlite_url: str) -> Any:
    app = create_app(Settings(database_url=sqlite_url))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
    ):
        yield http


async def test_every_metric_is_told(client: httpx.AsyncClient) -> None:
    families = list(text_string_to_metric_families((await client.get("/metrics")).text))
    told = {row[0].strip("`"): row[1:] for row in table(OPERATIONS, "metric", "type", "meaning")}
    assert told == {
        family.name + ("_total" if family.type == "counter" else ""): [family.type, family.documentation]
        for family in families
    }


async def test_what_readyz_says_is_told(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/readyz")).json()
    assert answer == {"ready": True, "problems": [], "bus": True, "writes": True}


def test_every_address_that_is_told_is_served(sqlite_url: str) -> None:
    app = create_app(Settings(database_url=sqlite_url))
    served = {getattr(route, "path", "") for route in app.routes if not isinstance(route, Mount)}
    told = set(column(OPERATIONS, "path", "what", "token"))
    assert told <= served
    assert {"/graphql", "/ws", "/healthz", "/readyz", "/metrics"} <= told


def test_every_scope_is_told() -> None:
    assert set(column(OPERATIONS, "scope", "may")) == {scope.value for scope in TokenScope}
    assert {scope.value for scope in permissions.READERS} == {"VIEWER", "OPERATOR", "ADMIN"}
