"""Orgs and tokens."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from kici_gql.store.records import fetch_all, fetch_one
from kici_gql.tables import Org, Token, table_of

_org = table_of(Org)
_token = table_of(Token)


def org_by_id(connection: Connection, org_id: str) -> Org | None:
    return fetch_one(connection, _BY_ID, Org, id=org_id)


_BY_ID = select(_org).where(_org.c.id == bindparam("id"))


def org_by_slug(connection: Connection, slug: str) -> Org | None:
    return fetch_one(connection, select(_org).where(_org.c.slug == slug), Org)


def all_orgs(connection: Connection) -> Sequence[Org]:
    """Every tenant: for the server's own chores, never for a caller."""
    return fetch_all(connection, select(_org).order_by(_org.c.id), Org)


def token_by_hash(connection: Connection, sha256: str) -> tuple[Token, Org] | None:
    """A token and its org, by the hash of the token's secret."""
    token = fetch_one(connection, select(_token).where(_token.c.sha256 == sha256), Token)
    if token is None:
        return None
    org = org_by_id(connection, token.org_id)
    assert org is not None, "a foreign key says so"
    return token, org


def tokens_of(connection: Connection, org_id: str) -> Sequence[Token]:
    query = select(_token).where(_token.c.org_id == org_id).order_by(_token.c.id)
    return fetch_all(connection, query, Token)


def revoked_among(connection: Connection, token_ids: Sequence[str]) -> Sequence[str]:
    """Those of these tokens, of whatever org, that were revoked."""
    query = select(_token.c.id).where(_token.c.id.in_(sorted(token_ids)), _token.c.revoked_at.is_not(None))
    return [row.id for row in connection.execute(query)]


def touch_token(connection: Connection, org_id: str, token_id: str, now: datetime) -> None:
    """Note that a token was used."""
    connection.execute(
        update(_token).where(_token.c.id == token_id, _token.c.org_id == org_id).values(last_used_at=now)
    )


def any_org(connection: Connection) -> bool:
    return connection.execute(select(_org.c.id).limit(1)).first() is not None


def binding(connection: Connection, token_id: str) -> str | None:
    """Name of the cluster that the token is bound to now; None: it is gone, or bound to none."""
    return connection.execute(select(_token.c.cluster_name).where(_token.c.id == token_id)).scalar()


def rebind_tokens(connection: Connection, org_id: str, old: str, new: str) -> None:
    """Tokens that were bound to a cluster's old name are bound to its new one."""
    query = update(_token).where(_token.c.org_id == org_id, _token.c.cluster_name == old)
    connection.execute(query.values(cluster_name=new))
