"""`kici-gql schema`: the public contract as text."""

import typer

app = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The GraphQL schema."""


@app.command()
def export() -> None:
    """Print the schema in GraphQL's schema definition language, sorted."""
    from kici_gql.api.schema import sdl

    print(sdl(), end="")
