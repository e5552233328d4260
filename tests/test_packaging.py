"""What a user gets who installs the wheel."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import kici_gql

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = metadata.packages_distributions()


def python(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel, built by the locked backend: no isolation, so no network."""
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    (built,) = folder.glob("*.whl")
    return zipfile.Path(built)


def packed(wheel: zipfile.Path) -> set[str]:
    return set(wheel.root.namelist())


def tree(folder: Path) -> set[str]:
    """The files that git would keep, relative to the folder."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_holds_the_whole_package(wheel: zipfile.Path) -> None:
    assert {f"kici_gql/{name}" for name in tree(ROOT / "kici_gql")} <= packed(wheel)
    assert "kici_gql/py.typed" in packed(wheel)


def test_wheel_holds_the_migrations(wheel: zipfile.Path) -> None:
    migrations = {name for name in packed(wheel) if name.startswith("kici_gql/store/migrations/")}
    assert "kici_gql/store/migrations/env.py" in migrations
    assert any(name.startswith("kici_gql/store/migrations/versions/") for name in migrations)


def test_wheel_holds_the_web_view(wheel: zipfile.Path) -> None:
    view = {f"kici_gql/_web/{name}" for name in tree(ROOT / "web")}
    assert view
    assert view <= packed(wheel)


def test_wheel_holds_nothing_else(wheel: zipfile.Path) -> None:
    outside = {name for name in packed(wheel) if not name.startswith(("kici_gql/", "kici_gql-"))}
    assert outside == set()
    assert not {name for name in packed(wheel) if name.endswith((".db", ".pyc"))}


def test_wheel_has_the_version_and_the_command(wheel: zipfile.Path) -> None:
    info = f"kici_gql-{kici_gql.__version__}.dist-info"
    assert f"Version: {kici_gql.__version__}" in (wheel / info / "METADATA").read_text().splitlines()
    assert "kici-gql = kici_gql.cli:main" in (wheel / info / "entry_points.txt").read_text()
    assert f"{info}/licenses/LICENSE" in packed(wheel)


def test_installed_version_is_the_source_version() -> None:
    assert metadata.version("kici-gql") == kici_gql.__version__


def test_changelog_leads_to_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = headings[1] if len(headings) > 1 else None
    if ".dev" in kici_gql.__version__:
        assert kici_gql.__version__.partition(".dev")[0] != released
    else:
        assert kici_gql.__version__ == released


def test_importing_the_package_costs_nothing() -> None:
    loaded = "import sys; before = set(sys.modules); import kici_gql; print(*set(sys.modules) - before)"
    assert python("-c", loaded).split() == ["kici_gql"]


def test_any_part_of_the_api_may_be_imported_first() -> None:
    python("-c", "import kici_gql.api.mutations.inputs, kici_gql.api.schema")


def test_the_command_line_loads_a_heavy_library_only_when_it_needs_it() -> None:
    loaded = python("-c", "import sys, kici_gql.cli; print(*sys.modules)").split()
    assert not {"alembic", "gql", "pydantic", "sqlalchemy", "starlette", "strawberry"} & set(loaded)


def test_every_import_is_a_declared_dependency() -> None:
    declared = {project(line) for line in PYPROJECT["project"]["dependencies"]}
    imported = {
        module.partition(".")[0]: path
        for path in (ROOT / "kici_gql").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in absolute_imports(node)
    }
    undeclared = {
        module: str(path.relative_to(ROOT))
        for module, path in imported.items()
        if module not in sys.stdlib_module_names
        and module != "kici_gql"
        and declared.isdisjoint(name.lower().replace("_", "-") for name in DISTRIBUTIONS.get(module, ()))
    }
    assert undeclared == {}


def absolute_imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_locks_are_hashed_and_name_no_host(lock: str) -> None:
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert pins
    assert all(re.match(r"[a-z0-9._-]+==\S+( ; .+)? \\$", line) for line in pins)
    others = [line for line in lines if line not in pins]
    assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$|#", line) for line in others)


def test_locks_agree_with_each_other_and_with_the_bounds() -> None:
    runtime, dev = (locked(lock) for lock in ("runtime", "dev"))
    assert runtime.items() <= dev.items()
    groups = PYPROJECT["dependency-groups"]
    wanted = [*PYPROJECT["project"]["dependencies"], *groups["build"]]
    assert {project(line) for line in wanted} <= runtime.keys()
    assert {project(line) for line in groups["dev"] if isinstance(line, str)} <= dev.keys()


def locked(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def project(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower()


def test_npm_lock_names_no_host() -> None:
    lock = json.loads((ROOT / "tests/e2e/package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in package and package["integrity"] for package in packages.values())
