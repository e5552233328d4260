"""The package is a stack of nouns: a module imports only from rows below its own (DESIGN, section 4).

The checker is a function from a source tree to a list of complaints, so that it can be shown trees that break the rules.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "kici_gql"

# From the ground up. Modules of one row don't import each other; inside one folder anything goes that is no cycle.
ROWS = (
    {"errors", "settings", "words"},
    {"events", "tables"},
    {"rules", "store"},
    {"auth", "feed"},
    {"actions"},
    {"api", "relay", "web"},
    {"app"},
    {"cli"},
    {"__main__"},  # `python -m kici_gql`: the call of cli and nothing else
)
ROW = {unit: height for height, units in enumerate(ROWS) for unit in units}

# (importer, imported) → why this one import may go sideways or up.
EXCEPTIONS: dict[tuple[str, str], str] = {}

# These think and do no I/O: they take values and the time, and return values.
PURE = ("errors", "words", "events", "rules", "relay.session", "relay.messages")
IMPURE = {"asyncio", "socket", "subprocess", "threading"}
IMPURE |= {"aiosqlite", "alembic", "asyncpg", "sqlalchemy", "sqlmodel"}
IMPURE |= {"broadcaster", "redis", "httpx", "starlette", "strawberry", "uvicorn", "websockets"}

# `kici-gql --help` needs no database driver, and a database that is up to date no Alembic.
LAZY = {"cli", "store.migrations"}


class Source(NamedTuple):
    """One module: where it stands below the package (the package itself is ``""``), and its code."""

    name: str
    home: str  # what a single leading dot stands for in it
    tree: ast.Module

    def imports(self, within: ast.AST | None = None) -> Iterator[str]:
        """The full dotted name of everything imported, wherever the statement stands."""
        for node in ast.walk(within or self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parents = self.home.split(".")
                    base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
                yield from (f"{base}.{alias.name}" for alias in node.names)


def sources(package: Path) -> dict[str, Source]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        home = ".".join([package.name, *parts[:-1]])
        found[name] = Source(name, home, ast.parse(path.read_text(), str(path)))
    return found


def inner_imports(modules: Mapping[str, Source], package: str) -> dict[str, set[str]]:
    """Which module of the package imports which: the deepest module that the imported name begins with."""
    graph: dict[str, set[str]] = {}
    for name, source in modules.items():
        graph[name] = set()
        for imported in source.imports():
            head, _, inner = imported.partition(".")
            if head == package:
                while inner and inner not in modules:
                    inner = inner.rpartition(".")[0]
                graph[name].add(inner or unit(imported.partition(".")[2]))
    return graph


def unit(module: str) -> str:
    return module.partition(".")[0]


def complaints(package: Path) -> list[str]:
    modules = sources(package)
    graph = inner_imports(modules, package.name)
    return [
        *costly(modules, package.name),
        *misplaced(modules),
        *upward(graph),
        *cyclic(graph),
        *impure(modules),
        *hidden(modules),
    ]


def costly(modules: Mapping[str, Source], package: str) -> Iterator[str]:
    for imported in modules[""].imports() if "" in modules else ():
        yield f"importing {package} must cost nothing, yet it imports {imported}"


def misplaced(modules: Mapping[str, Source]) -> Iterator[str]:
    for name in sorted({unit(module) for module in modules} - ROW.keys() - {""}):
        yield f"{name} stands in no row of the design"


def upward(graph: Mapping[str, set[str]]) -> Iterator[str]:
    for name, targets in graph.items():
        for target in sorted(targets):
            ours, theirs = unit(name), unit(target)
            if ours == theirs or (ours, theirs) in EXCEPTIONS or not {ours, theirs} <= ROW.keys():
                continue
            if ROW[theirs] >= ROW[ours]:
                way = "sideways" if ROW[theirs] == ROW[ours] else "up"
                yield f"{name} imports {target}, which points {way}"


def cyclic(graph: Mapping[str, set[str]]) -> Iterator[str]:
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> Iterator[str]:
        if name in trail:
            yield "import cycle: " + " → ".join((*trail[trail.index(name) :], name))
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                yield from walk(target, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, ())


def impure(modules: Mapping[str, Source]) -> Iterator[str]:
    for name, source in modules.items():
        if any(name == pure or name.startswith(f"{pure}.") for pure in PURE):
            for imported in source.imports():
                if unit(imported) in IMPURE:
                    yield f"{name} does no I/O, yet it imports {imported}"


def hidden(modules: Mapping[str, Source]) -> Iterator[str]:
    for name, source in modules.items():
        if {name, unit(name)} & LAZY:
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for imported in source.imports(node):
                    yield f"{name} hides the import of {imported} in a function"
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("import_module", "__import__")
            ):
                yield f"{name} hides an import in {ast.unparse(node)}"


def test_the_package_keeps_its_layout() -> None:
    assert complaints(PACKAGE) == []


def test_every_exception_is_still_needed() -> None:
    graph = inner_imports(sources(PACKAGE), PACKAGE.name)
    used = {(unit(name), unit(target)) for name, targets in graph.items() for target in targets}
    assert EXCEPTIONS.keys() <= used


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("__init__.py", "import typing", "importing kici_gql must cost nothing, yet it imports typing"),
        ("utils.py", "", "utils stands in no row of the design"),
        ("auth.py", "import kici_gql.actions.fleet", "auth imports actions.fleet, which points up"),
        ("auth.py", "from kici_gql import actions", "auth imports actions, which points up"),
        ("auth.py", "from .actions.fleet import beat", "auth imports actions.fleet, which points up"),
        ("auth.py", "from . import cli", "auth imports cli, which points up"),
        ("auth.py", "from .feed import follow", "auth imports feed, which points sideways"),
        ("store/agents.py", "from ..feed import announce", "store.agents imports feed, which points up"),
        ("store/__init__.py", "from ..feed import announce", "store imports feed, which points up"),
        (
            "rules/liveness.py",
            "from asyncio import sleep",
            "rules.liveness does no I/O, yet it imports asyncio.sleep",
        ),
        (
            "relay/session.py",
            "import sqlalchemy.orm",
            "relay.session does no I/O, yet it imports sqlalchemy.orm",
        ),
        ("app.py", "def start():\n    import json", "app hides the import of json in a function"),
        (
            "app.py",
            "import importlib\nimportlib.import_module('x')",
            "app hides an import in importlib.import_module('x')",
        ),
    ],
)
def test_a_broken_rule_is_seen(tmp_path: Path, path: str, source: str, complaint: str) -> None:
    assert complaints(stub(tmp_path, {path: source})) == [complaint]


def test_a_cycle_inside_a_folder_is_seen(tmp_path: Path) -> None:
    package = stub(
        tmp_path,
        {
            "store/agents.py": "from . import runs",
            "store/runs.py": "from .tokens import Token",
            "store/tokens.py": "import kici_gql.store.agents",
        },
    )
    assert complaints(package) == ["import cycle: store.agents → store.runs → store.tokens → store.agents"]


def test_a_sound_tree_passes(tmp_path: Path) -> None:
    sound = {
        "store/__init__.py": "from . import agents\nfrom .runs import started",
        "store/agents.py": "import asyncio\nfrom ..tables import Agent",
        "store/runs.py": "from . import agents\nfrom kici_gql.errors import NotFound",
        "cli.py": "from . import __version__\ndef serve():\n    from .app import create_app",
    }
    assert complaints(stub(tmp_path, sound)) == []


def stub(root: Path, files: Mapping[str, str]) -> Path:
    """A package of empty modules with names from the design, overlaid with the files."""
    package = root / "kici_gql"
    for folder in ("", "store", "rules", "relay", "actions"):
        (package / folder).mkdir(parents=True, exist_ok=True)
        (package / folder / "__init__.py").touch()
    for module in ("tables", "auth", "feed", "actions/fleet", "app", "cli"):
        (package / f"{module}.py").touch()
    for path, source in files.items():
        (package / path).write_text(source)
    return package
