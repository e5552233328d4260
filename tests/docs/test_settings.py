"""docs/settings.md says of every setting what the code says."""

import json
from typing import Any

import annotated_types
import typer.main
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kici_gql.api.engine.limits import Limits
from kici_gql.api.transport.options import TransportOptions
from kici_gql.cli import app
from kici_gql.settings import Settings
from tests.docs.markdown import DOCS, table

PAGE = DOCS / "settings.md"


def serve_flags() -> set[str]:
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {option for parameter in serve.params for option in parameter.opts}


def default_of(field: FieldInfo) -> str:
    assert field.default is not PydanticUndefined
    if field.default is None:
        return "none"
    text = field.default if isinstance(field.default, str) else json.dumps(field.default)
    return f"`{text}`"


def allowed(field: FieldInfo) -> str:
    """The bounds of a number, the values of a choice."""
    parts = []
    for rule in field.metadata:
        match rule:
            case annotated_types.Ge(ge=bound):
                parts.append(f"≥ {bound}")
            case annotated_types.Gt(gt=bound):
                parts.append(f"> {bound}")
            case annotated_types.Le(le=bound):
                parts.append(f"≤ {bound}")
            case _:
                pattern = str(rule.pattern).removeprefix("^(").removesuffix(")$")
                parts.append(", ".join(f"`{value}`" for value in pattern.split("|")))
    return ", ".join(parts) or _KINDS[str(field.annotation)]


_KINDS = {
    "<class 'str'>": "text",
    "<class 'bool'>": "`true`, `false`",
    "pydantic.types.SecretStr | None": "text",
    "tuple[str, ...]": "JSON list of texts",
}


def row_of(name: str, field: FieldInfo) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    return [
        f"`KICI_GQL_{name.upper()}`",
        f"`{flag}`" if flag in serve_flags() else "",
        default_of(field),
        allowed(field),
        str(field.description),
    ]


def rows() -> list[list[str]]:
    """What the table of the page must hold. To write it anew: `python -m tests.docs.test_settings`."""
    return [row_of(name, field) for name, field in Settings.model_fields.items()]


def test_every_setting_is_in_the_page_as_it_is_in_the_code() -> None:
    assert table(PAGE, "variable", "flag", "default", "allowed", "meaning") == rows()


def fixed_limits() -> dict[str, Any]:
    limits = {**_defaults(TransportOptions), **_defaults(Limits)}
    return {name: value for name, value in limits.items() if name not in Settings.model_fields}


def _defaults(of: type[TransportOptions] | type[Limits]) -> dict[str, Any]:
    values = of()
    return {name: getattr(values, name) for name in of.__dataclass_fields__}


def test_every_fixed_limit_is_in_the_page() -> None:
    told = {row[0].strip("`"): row[1] for row in table(PAGE, "name", "value", "meaning")}
    assert told == {
        name: f"{value:g}" for name, value in fixed_limits().items() if not isinstance(value, str)
    }


if __name__ == "__main__":
    for row in rows():
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")  # noqa: T201 - it is a command here
