"""The server itself, and who is asking."""

from datetime import datetime
from typing import Annotated

import strawberry

from kici_gql import __version__, auth
from kici_gql.api.context import Context, Info
from kici_gql.api.types.org import Org
from kici_gql.rules import permissions
from kici_gql.tables import TokenScope


@strawberry.type(description="One limit of this server.")
class ServerLimit:
    name: str = strawberry.field(description="Name of the setting behind it, as in docs/settings.md.")
    value: float = strawberry.field(description="Its value, in the unit that the name says.")


@strawberry.type(description="The server that answers.")
class ServerInfo:
    version: str = strawberry.field(description="Version of kici_gql.")
    time: datetime = strawberry.field(description="The server's clock, by which everything is judged.")
    process_id: str = strawberry.field(
        description="Name of the process that answers; several may serve one database."
    )
    database: str = strawberry.field(description="Kind of database: `sqlite` or `postgresql`.")
    heartbeat_interval_seconds: int = strawberry.field(description="Seconds between heartbeats.")
    late_after_seconds: int = strawberry.field(description="Seconds of silence after which somebody is LATE.")
    lost_after_seconds: int = strawberry.field(description="Seconds of silence after which somebody is LOST.")
    limits: list[ServerLimit] = strawberry.field(description="Limits of this server.")


def server_info(context: Context) -> ServerInfo:
    settings = context.services.settings
    limits = {name: value for name, value in settings.model_dump().items() if name.startswith("max_")}
    return ServerInfo(
        version=__version__,
        time=context.services.store.now(),
        process_id=context.services.process_id,
        database="sqlite" if settings.is_sqlite else "postgresql",
        heartbeat_interval_seconds=settings.heartbeat_interval_seconds,
        late_after_seconds=settings.late_after_seconds,
        lost_after_seconds=settings.lost_after_seconds,
        limits=[ServerLimit(name=name, value=float(value)) for name, value in sorted(limits.items())],
    )


@strawberry.type(description="Whether the viewer may do something.")
class Permission:
    allowed: bool = strawberry.field(description="Whether it may.")
    reason: str | None = strawberry.field(description="Why not; null when it may.")
    scopes: list[TokenScope] = strawberry.field(description="Scopes that would do.")


@strawberry.type(description="Whoever holds the token of this request.")
class Viewer:
    viewer: strawberry.Private[auth.Viewer]

    @strawberry.field(description="Global id of the token.")
    def token_id(self) -> strawberry.ID:
        return strawberry.ID(self.viewer.token_id)

    @strawberry.field(description="Name of the token.")
    def token_name(self) -> str:
        return self.viewer.token_name

    @strawberry.field(description="What the token may do; null without a token, in demo mode.")
    def scope(self) -> TokenScope | None:
        return self.viewer.scope

    @strawberry.field(description="Cluster that the token is bound to; null: none.")
    def cluster_name(self) -> str | None:
        return self.viewer.cluster_name

    @strawberry.field(description="When the token stops working; null: never.")
    def expires_at(self) -> datetime | None:
        return self.viewer.expires_at

    @strawberry.field(description="The viewer's org; null for an orchestrator's token, which reads nothing.")
    async def org(self, info: Info) -> Org | None:
        if not self.viewer.can_read:
            return None
        return await info.context.org()

    @strawberry.field(description="Whether the viewer may call a mutation.")
    def can(
        self,
        action: Annotated[
            str, strawberry.argument(description="Name of the mutation, such as `tokenCreate`.")
        ],
    ) -> Permission:
        wanted = permissions.ACTIONS.get(action, frozenset())
        allowed = self.viewer.scope in wanted
        reason = None if allowed else f"a token of scope {self.viewer.scope} may not call {action[:80]}"
        return Permission(allowed=allowed, reason=reason, scopes=sorted(wanted))
