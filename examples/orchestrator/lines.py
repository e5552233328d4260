"""Output of a process, cut into lines. Pure: bytes in, lines out."""

import codecs
import json
from typing import Final

MAX_LINE_CHARACTERS: Final = 65_536
MAX_WIRE_BYTES: Final = 100_000
"""Most that one line, or one batch of lines, may take as JSON: the server takes messages of 128 KiB."""

BATCH_LINES: Final = 200


class LineCutter:
    """Makes lines of what comes in pieces. What is no UTF-8 shows as U+FFFD; a line that is too long becomes several."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete."""
        return self._cut(self._decoder.decode(data))

    def end(self) -> list[str]:
        """What is left when nothing more comes: a last line without its newline."""
        lines = self._cut(self._decoder.decode(b"", final=True))
        if self._rest:
            lines += pieces(self._rest.removesuffix("\r"))
            self._rest = ""
        return lines

    def _cut(self, text: str) -> list[str]:
        *whole, rest = (self._rest + text).split("\n")
        lines = [piece for line in whole for piece in pieces(line.removesuffix("\r"))]
        if len(rest) > MAX_LINE_CHARACTERS:
            *more, rest = pieces(rest)
            lines += more
        self._rest = rest
        return lines


def pieces(line: str) -> list[str]:
    """The line itself, or the parts of one that is too long."""
    if len(line) * 12 <= MAX_WIRE_BYTES or (
        len(line) <= MAX_LINE_CHARACTERS and wire_bytes([line]) <= MAX_WIRE_BYTES
    ):
        return [line]
    # Twelve bytes are the most that a character takes as JSON.
    size = (
        MAX_LINE_CHARACTERS
        if wire_bytes([line[:MAX_LINE_CHARACTERS]]) <= MAX_WIRE_BYTES
        else MAX_WIRE_BYTES // 16
    )
    return [piece for start in range(0, len(line), size) for piece in pieces(line[start : start + size])]


def wire_bytes(lines: list[str]) -> int:
    """How long they are as JSON."""
    return len(json.dumps(lines))


def batches(lines: list[str]) -> list[list[str]]:
    """The lines in portions of at most BATCH_LINES and MAX_WIRE_BYTES."""
    found: list[list[str]] = []
    for start in range(0, len(lines), BATCH_LINES):
        batch = lines[start : start + BATCH_LINES]
        found.extend([batch] if wire_bytes(batch) <= MAX_WIRE_BYTES else _small(batch))
    return found


def _small(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = []
    room = 0
    for line in lines:
        size = len(json.dumps(line)) + 2
        if size > room:
            found.append([])
            room = MAX_WIRE_BYTES
        room -= size
        found[-1].append(line)
    return found
