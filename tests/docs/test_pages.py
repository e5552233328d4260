"""The pages hold together: links lead somewhere, blocks are what they say, decisions have their parts."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from graphql import build_schema, parse, validate

from kici_gql.api.schema import sdl
from tests.docs.markdown import DOCS, ROOT, Block, anchors, blocks, column, links, pages, table

DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
SCREEN_LINES = 60


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), (
            f"{page.name} links to {link}, which has no such heading"
        )


@pytest.mark.parametrize("block", [block for page in pages() for block in blocks(page, "graphql")], ids=str)
def test_every_graphql_block_is_valid(block: Block) -> None:
    assert validate(build_schema(sdl()), parse(block.text)) == []


@pytest.mark.parametrize("block", [block for page in pages() for block in blocks(page, "python")], ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = (
            page.parent / link.partition("#")[0] for link in links(page) if ":" not in link and link[0] != "#"
        )
        todo += [target.resolve() for target in targets if target.is_file()]
    assert [str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md") if page.resolve() not in reached] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_parts_and_fits_a_screen(page: Path) -> None:
    text = page.read_text()
    number, _, title = text.partition("\n")[0].removeprefix("# ").partition(". ")
    assert page.name.startswith(f"{int(number):04d}-")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Rejected"]
    assert text.count("\n") <= SCREEN_LINES
    assert [f"[{int(number):04d}]({page.name})", title] in table(
        DOCS / "decisions" / "README.md", "", "decision"
    )


def test_decisions_are_numbered_without_a_hole() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert len(column(DOCS / "decisions" / "README.md", "", "decision")) == len(DECISIONS)


def test_the_changelog_says_what_is_new() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    unreleased = text.partition("## [Unreleased]")[2].partition("\n## ")[0]
    assert unreleased.count("\n- ") >= 10
