"""Options that several commands take, and settings made from them."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kici_gql.settings import Settings

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite+aiosqlite:///file.db or postgresql+asyncpg://… [env: KICI_GQL_DATABASE_URL]"),
]


def settings_from(**flags: Any) -> "Settings":
    """Environment first, flags over it. Ends the program with a sentence for each value that is not fit."""
    from pydantic import ValidationError

    from kici_gql.settings import Settings

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        for each in error.errors():
            name = f"KICI_GQL_{'_'.join(str(part) for part in each['loc']).upper()}: " if each["loc"] else ""
            print(f"kici-gql: {name}{each['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        raise typer.Exit(2) from None
