"""What a check found, and what would be right."""

from dataclasses import dataclass
from enum import StrEnum

SLOW_SECONDS = 1.0


class Status(StrEnum):
    OK = "ok"
    WARNING = "warn"
    FAILED = "FAIL"
    SKIPPED = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `right` says what would be right, where something isn't."""

    status: Status
    check: str
    text: str
    right: str | None = None

    def __str__(self) -> str:
        line = f"{self.status:<4}  {self.check:<9}  {self.text}"
        return line if self.right is None else f"{line}\n{'':17}→ {self.right}"


class Wrong(Exception):
    """A check failed. `check` is set where another one than that which ran is to blame."""

    def __init__(self, text: str, right: str, check: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.right = right
        self.check = check

    def finding(self, check: str) -> Finding:
        return Finding(Status.FAILED, self.check or check, self.text, self.right)


def timely(check: str, took: float, text: str) -> Finding:
    if took <= SLOW_SECONDS:
        return Finding(Status.OK, check, text)
    return Finding(
        Status.WARNING, check, text, "It works, but slowly: see the load of the server and of its database."
    )
