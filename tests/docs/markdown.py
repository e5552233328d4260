"""Reading our own Markdown: code blocks, tables, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and the line of the page that its first line stands on."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """README, CHANGELOG, the examples' page and all of docs/."""
    return [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "examples" / "README.md",
        *sorted(DOCS.rglob("*.md")),
    ]


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of these languages."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, found[1], found[2])
        for found in _BLOCK.finditer(text)
        if found[1] in languages
    ]


def table(page: Path, *header: str) -> list[list[str]]:
    """The rows of the one table that has this header; cells are stripped, and an escaped bar is one."""
    tables = [rows for head, rows in _tables(page) if head == list(header)]
    assert len(tables) == 1, f"{page.name} has {len(tables)} tables with the header {header}"
    return tables[0]


def column(page: Path, *header: str) -> list[str]:
    """The first column of that table, without its backticks."""
    return [row[0].strip("`") for row in table(page, *header)]


def links(page: Path) -> list[str]:
    return _LINK.findall(_prose(page))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    kept = (
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(_prose(page))
    )
    return set(kept)


def _prose(page: Path) -> str:
    return re.sub(r"`[^`\n]+`", lambda code: code[0].replace("](", "] ("), _BLOCK.sub("", page.read_text()))


def _tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    lines = [line.strip() for line in page.read_text().splitlines()]
    for number, line in enumerate(lines):
        if number and re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line):
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            yield _cells(lines[number - 1]), rows


def _cells(row: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", row.strip("|"))
    return [part.replace("\\|", "|").strip() for part in parts]
