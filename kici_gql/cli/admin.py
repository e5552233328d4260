"""`kici-gql token`, `org`, `db`: what whoever owns the database may do without a token."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from kici_gql.cli.options import DatabaseUrl, settings_from
from kici_gql.words import TokenScope

if TYPE_CHECKING:
    from kici_gql.settings import Settings
    from kici_gql.store import Tx

T = TypeVar("T")

tokens = typer.Typer(help="Tokens of an org.", no_args_is_help=True)
orgs = typer.Typer(help="Orgs of this server.", no_args_is_help=True)
database = typer.Typer(help="The database.", no_args_is_help=True)

OrgSlug = Annotated[str, typer.Option(help="Which org.")]


@orgs.callback()
def _orgs() -> None:
    """Orgs of this server."""


@database.callback()
def _database() -> None:
    """The database."""


@tokens.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    scope: Annotated[
        TokenScope, typer.Option(help="What it may do.", case_sensitive=False)
    ] = TokenScope.VIEWER,
    org: OrgSlug = "default",
    cluster: Annotated[str | None, typer.Option(help="Bind an orchestrator's token to this cluster.")] = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="Days until it stops working.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Create a token and print its secret, this once."""
    from kici_gql.actions import tokens as actions
    from kici_gql.auth import new_secret

    expires_at = None if expires_in_days is None else _now() + timedelta(days=expires_in_days)
    wish = actions.TokenWish(name, scope, cluster, expires_at)
    secret = new_secret()

    def work(tx: "Tx") -> None:
        actions.check_wish(wish, tx.now)
        actions.add_token(tx, tx.org_id, wish, secret, created_by=None)

    _write(settings_from(database_url=database_url), org, work)
    print(secret)


@tokens.command("list")
def token_list(org: OrgSlug = "default", database_url: DatabaseUrl = None) -> None:
    """List the org's tokens, without their secrets."""
    from kici_gql.store.orgs import tokens_of

    for row in _write(
        settings_from(database_url=database_url), org, lambda tx: tokens_of(tx.connection, tx.org_id)
    ):
        state = "revoked" if row.revoked_at else "expired" if _past(row.expires_at) else "valid"
        print(
            f"{row.id}  {row.prefix}…  {row.scope:<12}  {state:<7}  {row.cluster_name or '-':<20}  {row.name}"
        )


@tokens.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(help="Id of the token, as `token list` prints it.")],
    org: OrgSlug = "default",
    database_url: DatabaseUrl = None,
) -> None:
    """End a token now. Its open streams close within seconds."""
    from kici_gql.actions import tokens as actions

    _write(settings_from(database_url=database_url), org, lambda tx: actions.revoke_token(tx, token_id))
    print(f"revoked {token_id}")


@orgs.command("create")
def org_create(
    slug: Annotated[str, typer.Argument(help="Its name in addresses.")],
    name: Annotated[str | None, typer.Option(help="Its name for people; default: the slug.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Create an org and print its first admin token, this once."""
    from kici_gql.actions import tokens as actions

    def work(tx: "Tx") -> str:
        actions.check_org(slug, name or slug)
        return actions.add_org(tx, slug, name or slug)[1]

    print(_write(settings_from(database_url=database_url), None, work))


@database.command("upgrade")
def db_upgrade(database_url: DatabaseUrl = None) -> None:
    """Bring the database's schema up to date. `serve` does so by itself."""
    from kici_gql.store import migrations

    asyncio.run(migrations.upgrade(settings_from(database_url=database_url).database_url))
    print("The database is up to date.")


@database.command("renew-epochs")
def db_renew_epochs(database_url: DatabaseUrl = None) -> None:
    """Make cursors from before a restore invalid: their streams begin anew. Stop the server first."""
    from kici_gql.store.log import renew_epochs

    count = _write(settings_from(database_url=database_url), None, lambda tx: renew_epochs(tx.connection))
    print(
        f"Renewed {count} log epoch{'' if count == 1 else 's'}. Streams of earlier cursors begin with a RESYNC."
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _past(moment: datetime | None) -> bool:
    return moment is not None and moment <= _now()


def _write(settings: "Settings", org: str | None, work: Callable[["Tx"], T]) -> T:
    """Run one transaction on the database itself. Ends the program with a sentence when it is refused."""
    from kici_gql.errors import KiciError

    try:
        return asyncio.run(_transaction(settings, org, work))
    except KiciError as error:
        print(f"kici-gql: {error.message}. {error.hint or ''}".rstrip(), file=sys.stderr)
        raise typer.Exit(1) from None


async def _transaction(settings: "Settings", org: str | None, work: Callable[["Tx"], T]) -> T:
    from kici_gql.errors import NotFound
    from kici_gql.store import Store, migrations
    from kici_gql.store.orgs import org_by_slug

    await migrations.upgrade(settings.database_url)
    store = Store(settings, _now)
    await store.open()
    try:
        org_id = None
        if org is not None:
            found = await store.read(org_by_slug, org)
            if found is None:
                raise NotFound(f"there is no org {org!r}", hint="Start the server once, or create the org.")
            org_id = found.id
        return await store.transaction(org_id, work)
    finally:
        await store.close()
