"""A cluster's own settings, asked of its orchestrator the moment somebody wants to see them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from kici_gql.errors import Unavailable
from kici_gql.events import iso
from kici_gql.relay.messages import values
from kici_gql.relay.messages.answers import Answered, Outcome, Refusal, Refused, either
from kici_gql.relay.messages.introduction import Capabilities, org_of
from kici_gql.relay.messages.requests import Request, request
from kici_gql.relay.messages.values import Body
from kici_gql.tables import Surface

MAX_ITEMS = 1000
MAX_DETAILED = 50
"""Environments that are asked about one by one; of those beyond, only what the list says is known."""
DETAILS_SECONDS = 5.0
"""How long they are asked about: the list itself must not be late because there are many."""
MAX_SECRETS = 5000
DEAD_LETTERS = 200

Document = Mapping[str, Any]


class LinkAsker:
    """Asks over one connection. `routing_keys` and `capabilities` answer what the connection knows now.

    However many want to see a surface, it is asked for once at a time, and whoever comes while it is being asked for
    waits for the next answer: the one that is on its way may be older than the change that made them look.
    """

    def __init__(
        self,
        ask: Callable[[Request], Awaitable[Outcome]],
        capabilities: Callable[[], Capabilities],
        routing_keys: Callable[[], tuple[str, ...]],
    ) -> None:
        self._ask = ask
        self._capabilities = capabilities
        self._routing_keys = routing_keys
        self._turns = {surface: asyncio.Lock() for surface in Surface}
        self._next: dict[Surface, asyncio.Future[Document]] = {}

    async def ask(self, surface: Surface) -> Document:
        """The surface now. Raises Unavailable when the orchestrator does not answer, or not to this."""
        answer = self._next.get(surface)
        if answer is None:
            answer = self._next[surface] = asyncio.ensure_future(self._in_turn(surface))
            answer.add_done_callback(_heard)
        return await asyncio.shield(answer)

    async def _in_turn(self, surface: Surface) -> Document:
        async with self._turns[surface]:
            del self._next[surface]
            return await self._look(surface)

    async def _look(self, surface: Surface) -> Document:
        match surface:
            case Surface.SECURITY_POLICY:
                return policy(self._capabilities())
            case Surface.ENVIRONMENTS:
                return await self._environments()
            case Surface.SECRET_SCOPES:
                return secret_scopes(await self._answer(request("dashboard.contexts.secrets.list")))
            case Surface.DEAD_LETTERS:
                org_id = org_of(self._routing_keys())
                wanted = request("dashboard.event-dlq.list", orgId=org_id, limit=DEAD_LETTERS)
                return dead_letters(await self._answer(wanted))
            case Surface.GLOBAL_WORKFLOWS:
                return global_workflows(await self._answer(request("dashboard.global-workflows.get")))

    async def _environments(self) -> Document:
        """The list, and what it leaves out of each environment: one that does not answer is not asked further."""
        listed = await self._answer(request("dashboard.contexts.list"))
        contexts = list(values.items(listed.get("contexts"), MAX_ITEMS))
        details: list[dict[str, Any]] = [{} for _ in contexts]
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + DETAILS_SECONDS
        for each, found in zip(contexts[:MAX_DETAILED], details, strict=False):
            for name, (type_, read) in _DETAILS.items():
                if not values.is_uuid(each.get("id")) or loop.time() >= ends_at:
                    continue
                outcome = await self._ask(request(type_, contextId=each["id"]))
                if isinstance(outcome, Answered):
                    found[name] = read(outcome.body)
                elif outcome.why in _GIVES_UP:
                    return environments(contexts, details)
        return environments(contexts, details)

    async def _answer(self, wanted: Request) -> Body:
        outcome = await self._ask(wanted)
        if isinstance(outcome, Refused):
            later = outcome.why in _GIVES_UP
            raise Unavailable(outcome.message, hint=outcome.hint or ("Try again." if later else None))
        return outcome.body


def _heard(answer: asyncio.Future[Document]) -> None:
    """Whoever asked may have left: then nobody else would notice that it failed."""
    if not answer.cancelled():
        answer.exception()


def policy(capabilities: Capabilities) -> Document:
    """The write policy as the orchestrator announced it: what it doesn't name is allowed."""
    return {"dashboardWrites": {name: state.value for name, state in sorted(capabilities.writes.items())}}


def environments(contexts: Iterable[Body], details: Iterable[Document]) -> Document:
    """Contexts, as 0.9 calls them."""
    return {
        "items": [
            {
                "name": values.name(each.get("name")) or "?",
                "type": values.ident(either(each, "contextType", "type")) or "fixed",
                "globPattern": values.name(each.get("globPattern")),
                "enabled": each.get("enabled") is not False,
                **more,
            }
            for each, more in zip(contexts, details, strict=True)
        ]
    }


def protection_rules(body: Body) -> list[Document]:
    context = values.mapping(body.get("context"))
    found: list[Document] = []
    branches = values.labels(context.get("branchRestrictions"))
    if branches:
        found.append({"type": "branch_restrictions", "description": ", ".join(branches)})
    reviewers = values.number(context.get("requiredReviewers"))
    if reviewers:
        found.append({"type": "required_reviewers", "description": str(reviewers)})
    wait = values.number(context.get("waitTimerSeconds"))
    if wait:
        found.append({"type": "wait_timer", "description": f"{wait} s"})
    limit = values.number(context.get("concurrencyLimit"))
    if limit:
        strategy = values.ident(context.get("concurrencyStrategy"))
        then = f", then {strategy}" if strategy is not None else ""
        found.append({"type": "concurrency_limit", "description": f"{limit} at once{then}"})
    return found


def variable_names(body: Body) -> list[str]:
    """Without the values, which are in the answer."""
    return _texts(body.get("variables"), "key")


def scope_patterns(body: Body) -> list[str]:
    return _texts(body.get("bindings"), "scopePattern")


def _texts(value: object, key: str) -> list[str]:
    found = (values.name(each.get(key)) for each in values.items(value, MAX_ITEMS))
    return sorted({each for each in found if each is not None})


_DETAILS: Mapping[str, tuple[str, Callable[[Body], object]]] = {
    "protectionRules": ("dashboard.contexts.get", protection_rules),
    "variableNames": ("dashboard.contexts.variables.list", variable_names),
    "secretScopes": ("dashboard.contexts.bindings.list", scope_patterns),
}
"""What an environment's own page tells of it, and the request that asks for it."""
_GIVES_UP = {Refusal.TIMED_OUT, Refusal.DISCONNECTED, Refusal.BUSY}


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
