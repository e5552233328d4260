"""A cluster's own settings, asked of its orchestrator the moment somebody wants to see them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from kici_gql.errors import Unavailable
from kici_gql.events import iso
from kici_gql.relay.messages import values
from kici_gql.relay.messages.answers import Outcome, Refusal, Refused, either
from kici_gql.relay.messages.introduction import Capabilities, org_of
from kici_gql.relay.messages.requests import Request, request
from kici_gql.relay.messages.values import Body
from kici_gql.tables import Surface

MAX_ITEMS = 1000
MAX_SECRETS = 5000
DEAD_LETTERS = 200

Document = Mapping[str, Any]


class LinkAsker:
    """Asks over one connection. `routing_keys` and `capabilities` answer what the connection knows now."""

    def __init__(
        self,
        ask: Callable[[Request], Awaitable[Outcome]],
        capabilities: Callable[[], Capabilities],
        routing_keys: Callable[[], tuple[str, ...]],
    ) -> None:
        self._ask = ask
        self._capabilities = capabilities
        self._routing_keys = routing_keys

    async def ask(self, surface: Surface) -> Document:
        """The surface now. Raises Unavailable when the orchestrator does not answer, or not to this."""
        match surface:
            case Surface.SECURITY_POLICY:
                return policy(self._capabilities())
            case Surface.ENVIRONMENTS:
                return environments(await self._answer(request("dashboard.contexts.list")))
            case Surface.SECRET_SCOPES:
                return secret_scopes(await self._answer(request("dashboard.contexts.secrets.list")))
            case Surface.DEAD_LETTERS:
                org_id = org_of(self._routing_keys())
                wanted = request("dashboard.event-dlq.list", orgId=org_id, limit=DEAD_LETTERS)
                return dead_letters(await self._answer(wanted))
            case Surface.GLOBAL_WORKFLOWS:
                return global_workflows(await self._answer(request("dashboard.global-workflows.get")))

    async def _answer(self, wanted: Request) -> Body:
        outcome = await self._ask(wanted)
        if isinstance(outcome, Refused):
            later = outcome.why in {Refusal.TIMED_OUT, Refusal.DISCONNECTED, Refusal.BUSY}
            raise Unavailable(outcome.message, hint=outcome.hint or ("Try again." if later else None))
        return outcome.body


def policy(capabilities: Capabilities) -> Document:
    """The write policy as the orchestrator announced it: what it doesn't name is allowed."""
    return {"dashboardWrites": {name: state.value for name, state in sorted(capabilities.writes.items())}}


def environments(body: Body) -> Document:
    """Contexts, as 0.9 calls them. Neither variables nor protection rules are part of the list."""
    return {
        "items": [
            {
                "name": values.name(each.get("name")) or "?",
                "type": values.ident(either(each, "contextType", "type")) or "fixed",
                "enabled": each.get("enabled") is not False,
            }
            for each in values.items(body.get("contexts"), MAX_ITEMS)
        ]
    }


def secret_scopes(body: Body) -> Document:
    """Names by scope. An empty scope stands in the list with an empty name."""
    scopes: dict[str, list[str]] = {}
    for each in values.items(body.get("secrets"), MAX_SECRETS):
        scope, key = values.name(each.get("scope")), values.name(each.get("key"))
        if scope is not None:
            scopes.setdefault(scope, []).extend([key] if key is not None else [])
    return {"items": [{"name": name, "secretNames": sorted(scopes[name])} for name in sorted(scopes)]}


def dead_letters(body: Body) -> Document:
    """Without the payloads: they may hold anything."""
    return {"items": list(_letters(values.items(body.get("items"), DEAD_LETTERS)))}


def _letters(items: Iterable[Body]) -> Iterable[Document]:
    for each in items:
        id_ = values.ident(each.get("id"))
        if id_ is not None:
            yield {
                "id": id_,
                "eventName": values.name(each.get("eventName")) or "?",
                "sourceRepository": values.name(each.get("sourceRepo")),
                "reason": values.message(each.get("dlqReason")),
                "lastError": values.message(each.get("lastError")),
                "attempts": values.number(each.get("attempts")) or 0,
                "createdAt": _time(each.get("createdAt")),
                "deadAt": _time(each.get("dlqAt")),
            }


def _time(value: object) -> str | None:
    moment = values.moment(value)
    return None if moment is None else iso(moment)


def global_workflows(body: Body) -> Document:
    settings = values.mapping(body.get("settings"))
    return {
        "enabled": settings.get("enabled") is True,
        "allowedRepositories": _patterns(settings.get("allowedRepos")),
        "deniedRepositories": _patterns(settings.get("deniedRepos")),
        "elevatedRepositories": _patterns(settings.get("elevatedRepos")),
    }


def _patterns(value: object) -> list[str] | None:
    if not isinstance(value, list):
        return None
    return [name for each in values.items(value, MAX_ITEMS) if (name := values.name(each.get("pattern")))]
