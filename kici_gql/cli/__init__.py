"""The command line. Heavy imports wait until a command needs them, so that `--help` is quick."""

import typer

from kici_gql.cli import admin, cluster_name, demo, doctor, schema, serve, watch

app = typer.Typer(
    name="kici-gql",
    help="A live GraphQL API over KiCI's infrastructure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("watch")(watch.watch)
app.command("doctor")(doctor.doctor)
app.add_typer(admin.tokens, name="token")
app.add_typer(admin.orgs, name="org")
app.add_typer(cluster_name.app, name="cluster-name")
app.add_typer(admin.database, name="db")
app.add_typer(schema.app, name="schema")


def main() -> None:
    """Entry point of `kici-gql`."""
    app()
