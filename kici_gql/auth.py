"""Who is calling: token → Viewer, and the end of a viewer's rights while streams are open."""

import asyncio
import hashlib
import secrets
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from sqlalchemy import Connection

from kici_gql.errors import Forbidden, Unauthenticated
from kici_gql.rules import permissions
from kici_gql.store import Store, orgs
from kici_gql.tables import Org, Token, TokenScope

TOKEN_PREFIX = "kgq_"  # noqa: S105 - what every token starts with, not a password
SHOWN_CHARACTERS = 12

# How long an answer of the database is trusted. A revocation ends it at once in every process that hears the bell;
# this is for the process that does not.
_TRUST = timedelta(seconds=1)
_REMEMBERED_TOKENS = 10_000

EndReason = Literal["revoked", "expired"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever holds a valid token: its org, its scope and, for an orchestrator, the cluster it is bound to.

    In demo mode there is one more: `ANONYMOUS`, without org or scope, who may look at the schema and nothing else.
    """

    token_id: str
    token_name: str
    org_id: str
    org_slug: str
    scope: TokenScope | None
    cluster_name: str | None
    expires_at: datetime | None

    @property
    def rights_key(self) -> Hashable:
        """Viewers with equal keys may see exactly the same."""
        return self.org_id, self.scope, self.cluster_name

    @property
    def can_read(self) -> bool:
        return self.scope in permissions.READERS


ANONYMOUS = Viewer("", "anonymous", "", "", None, None, None)


def new_secret() -> str:
    """A fresh token: 256 random bits behind our prefix."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is stored of a token. Tokens are random, so a plain SHA-256 can't be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def require(viewer: Viewer, action: str) -> None:
    """Raises Forbidden, naming the scopes that would do, when the viewer may not call this mutation."""
    _require_token(viewer)
    if not permissions.allowed(viewer.scope, action):
        wanted = " or ".join(sorted(permissions.ACTIONS[action]))
        raise Forbidden(
            f"a token of scope {viewer.scope} may not call {action}", hint=f"Use a token of scope {wanted}."
        )


def require_reader(viewer: Viewer) -> None:
    """Raises Forbidden when the viewer may not read its org."""
    _require_token(viewer)
    if not viewer.can_read:
        raise Forbidden(
            f"a token of scope {viewer.scope} may not read",
            hint="Use a token of scope VIEWER, OPERATOR or ADMIN.",
        )


def _require_token(viewer: Viewer) -> None:
    if viewer.scope is None:
        raise Unauthenticated("a token is required", hint="Send the header `Authorization: Bearer kgq_…`.")


class Authenticator:
    """Turns secrets into viewers, and tells open streams when their viewer's rights end.

    `watch(org_id)` is called when a stream of an org opens, so that this process hears of its revocations.
    `anonymous` lets callers without a token in as ANONYMOUS.
    """

    def __init__(self, store: Store, watch: Callable[[str], object], *, anonymous: bool = False) -> None:
        self._store = store
        self._clock = store.now
        self._watch = watch
        self._anonymous = anonymous
        self._known: OrderedDict[str, tuple[datetime, Viewer]] = OrderedDict()
        self._looks: dict[str, asyncio.Task[Viewer | None]] = {}
        self._streams: defaultdict[str, set[Callable[[EndReason], None]]] = defaultdict(set)
        self._used: dict[str, tuple[str, datetime]] = {}

    async def authenticate(self, secret: str | None) -> Viewer:
        """The holder of this token. Raises Unauthenticated when it is missing, unknown, revoked or expired."""
        if not secret and self._anonymous:
            return ANONYMOUS
        if not secret:
            raise Unauthenticated(
                "a token is required", hint="Send the header `Authorization: Bearer kgq_…`."
            )
        now, sha256 = self._clock(), hash_of(secret)
        known = self._known.get(sha256)
        fresh = known is not None and now - known[0] <= _TRUST
        viewer = known[1] if known is not None and fresh else await self._look_up(sha256)
        if viewer is None:
            raise Unauthenticated(
                "this token is not valid", hint="Check that it is complete and was not revoked."
            )
        if viewer.expires_at is not None and viewer.expires_at <= now:
            raise Unauthenticated("this token has expired", hint="Ask an admin for a new token.")
        self._used[viewer.token_id] = (viewer.org_id, now)
        return viewer

    def on_end(self, viewer: Viewer, callback: Callable[[EndReason], None]) -> Callable[[], None]:
        """Call `callback` once, on the event loop, when the viewer's token is revoked or expires.

        Returns a function that takes the wish back.
        """
        if viewer.org_id:
            self._watch(viewer.org_id)
        self._streams[viewer.token_id].add(callback)
        timer: asyncio.TimerHandle | None = None
        if viewer.expires_at is not None:
            seconds = (viewer.expires_at - self._clock()).total_seconds()
            timer = asyncio.get_running_loop().call_later(max(0.0, seconds), callback, "expired")
        return partial(self._forget, viewer.token_id, callback, timer)

    def _forget(
        self, token_id: str, callback: Callable[[EndReason], None], timer: asyncio.TimerHandle | None
    ) -> None:
        if timer is not None:
            timer.cancel()
        streams = self._streams.get(token_id)
        if streams is not None:
            streams.discard(callback)
            if not streams:
                del self._streams[token_id]

    def revoked(self, token_id: str) -> None:
        """Forget the token and end its streams."""
        self._looks.clear()  # what is being read may be from before: it is neither remembered nor shared any more
        for sha256 in [key for key, (_, viewer) in self._known.items() if viewer.token_id == token_id]:
            del self._known[sha256]
        for callback in list(self._streams.pop(token_id, ())):
            callback("revoked")

    async def look(self) -> None:
        """End the streams of tokens that were revoked without this process hearing of it.

        The bell may be broken, or it rang just before the stream opened.
        """
        if token_ids := [token_id for token_id in self._streams if token_id]:
            for token_id in await self._store.read(orgs.revoked_among, token_ids):
                self.revoked(token_id)

    def take_used(self) -> dict[str, tuple[str, datetime]]:
        """Tokens used since the last call: id → (org, when)."""
        used, self._used = self._used, {}
        return used

    async def _look_up(self, sha256: str) -> Viewer | None:
        """The token as the database has it. Those who ask at the same moment share one read."""
        look = self._looks.get(sha256)
        if look is None:
            look = self._looks[sha256] = asyncio.create_task(self._read(sha256))
            look.add_done_callback(_take_note)
        return await asyncio.shield(look)

    async def _read(self, sha256: str) -> Viewer | None:
        now, me = self._clock(), asyncio.current_task()
        try:
            viewer = await self._store.read(_load, sha256)
            if viewer is not None and self._looks.get(sha256) is me:
                self._remember(sha256, viewer, now)
            return viewer
        finally:
            if self._looks.get(sha256) is me:
                del self._looks[sha256]

    def _remember(self, sha256: str, viewer: Viewer, now: datetime) -> None:
        self._known[sha256] = (now, viewer)
        self._known.move_to_end(sha256)
        if len(self._known) > _REMEMBERED_TOKENS:
            self._known.popitem(last=False)


def viewer_of(token: Token, org: Org) -> Viewer:
    return Viewer(
        token_id=token.id,
        token_name=token.name,
        org_id=org.id,
        org_slug=org.slug,
        scope=TokenScope(token.scope),
        cluster_name=token.cluster_name,
        expires_at=token.expires_at,
    )


def _load(connection: Connection, sha256: str) -> Viewer | None:
    found = orgs.token_by_hash(connection, sha256)
    return None if found is None or found[0].revoked_at is not None else viewer_of(*found)


def _take_note(look: asyncio.Task[Viewer | None]) -> None:
    """Everybody who waited for it may have left; a failure that nobody takes note of would be logged."""
    if not look.cancelled():
        look.exception()
