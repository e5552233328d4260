"""Questions between processes: who wants to know asks in the log, and whoever holds the connection answers there.

The log carries only that there is a question, or an answer; what was answered stands in a row that is removed when
it has been read. A question outlives the process that was to answer it: the next one that holds the connection
finds it open.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, TypeVar

from kici_gql.errors import Unavailable
from kici_gql.events import Cursor, Event, EventType, Topic
from kici_gql.feed import Expired, Feed
from kici_gql.store import Store, Tx, records
from kici_gql.tables import Orchestrator, Prefix, Question, Surface, new_id

ANSWER_SECONDS = 12.0
"""How long an answer is waited for: what an orchestrator may take for it, and the way there and back."""
_PAGE_EVENTS = 1000

Document = Mapping[str, Any]
T = TypeVar("T")


async def ask(store: Store, feed: Feed, orchestrator: Orchestrator, surface: Surface) -> Document:
    """The surface now, from whichever process holds the connection. Raises Unavailable with what that process says."""
    org_id = orchestrator.org_id
    cursor = await feed.head(org_id)
    question_id = await store.transaction(org_id, partial(_ask, orchestrator=orchestrator, surface=surface))
    try:
        answer = await in_time(_answer_to(store, feed, org_id, question_id, cursor), orchestrator)
    finally:
        await store.transaction(org_id, partial(_forget, question_id=question_id))
    if answer.document is None:
        raise Unavailable(answer.problem or "the orchestrator did not answer", hint=answer.hint)
    return answer.document


async def in_time(answer: Awaitable[T], orchestrator: Orchestrator) -> T:
    """What the orchestrator answers. Raises Unavailable when that takes too long."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer
    except TimeoutError:
        raise Unavailable(
            f"nobody answered for orchestrator {orchestrator.instance_id} within {ANSWER_SECONDS:g} s",
            hint="The process that holds its connection is gone or busy. Try again when it has reconnected.",
        ) from None


async def answer(store: Store, question: Question, document: Document | Unavailable) -> None:
    """Tell what the orchestrator said, or why there is nothing to tell. The first answer counts."""
    told: dict[str, Any] = (
        {"problem": document.message, "hint": document.hint}
        if isinstance(document, Unavailable)
        else {"document": dict(document)}
    )
    await store.transaction(question.org_id, partial(_answer, question_id=question.id, told=told))


async def _answer_to(store: Store, feed: Feed, org_id: str, question_id: str, cursor: Cursor) -> Question:
    while True:
        found = await store.read(records.by_id, Question, org_id, question_id)
        if found is not None and found.answered_at is not None:
            return found
        cursor = await _spoken_of(feed, org_id, question_id, cursor)


async def _spoken_of(feed: Feed, org_id: str, question_id: str, cursor: Cursor) -> Cursor:
    """Wait until the log tells of an answer to this question, or can't be followed from here."""
    while True:
        await feed.moved(org_id, cursor)
        try:
            page = await feed.after(org_id, cursor, (Topic.QUESTIONS,), _PAGE_EVENTS)
        except Expired:
            return await feed.head(org_id)
        cursor = page.cursor
        events = (event for entry in page.entries for event in entry.events)
        if any(
            event.type is EventType.QUESTION_ANSWERED and event.data["id"] == question_id for event in events
        ):
            return cursor


def _ask(tx: Tx, orchestrator: Orchestrator, surface: Surface) -> str:
    row = Question(
        id=new_id(Prefix.QUESTION, tx.now),
        org_id=tx.org_id,
        orchestrator_id=orchestrator.id,
        surface=surface,
        asked_at=tx.now,
    )
    records.add(tx.connection, row)
    tx.append(Event(EventType.QUESTION_ASKED, {"id": row.id, "orchestrator_id": row.orchestrator_id}))
    return row.id


def _answer(tx: Tx, question_id: str, told: dict[str, Any]) -> None:
    row = records.by_id(tx.connection, Question, tx.org_id, question_id)
    if row is None or row.answered_at is not None:
        return
    records.change(tx.connection, Question, row.id, {"answered_at": tx.now, **told})
    tx.append(Event(EventType.QUESTION_ANSWERED, {"id": row.id}))


def _forget(tx: Tx, question_id: str) -> None:
    records.remove(tx.connection, Question, [question_id])
