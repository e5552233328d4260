"""Labels: those that KiCI sets by itself start with `kici:`, all others are the user's."""

from enum import StrEnum


class LabelKind(StrEnum):
    USER = "USER"
    AUTO = "AUTO"


def kind_of(label: str) -> LabelKind:
    return LabelKind.AUTO if label.startswith("kici:") else LabelKind.USER
