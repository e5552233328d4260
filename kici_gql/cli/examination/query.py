"""A query over plain HTTP: who the server takes us for, and what time it has."""

import json
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from kici_gql.cli.examination.documents import WHO
from kici_gql.cli.examination.finding import Wrong
from kici_gql.cli.examination.patient import Patient, fetch, first_message
from kici_gql.cli.examination.token import token_refused


async def who(patient: Patient) -> tuple[dict[str, Any], datetime, datetime]:
    """The answer to `WHO`, and when it was asked and came, by our clock."""
    if not patient.token:
        raise Wrong(
            "none was given", "Set KICI_GQL_TOKEN; `kici-gql token create NAME` makes a token.", check="token"
        )
    began, since = datetime.now(UTC), monotonic()
    response, body = await fetch(
        patient, "POST", patient.graphql, json={"query": WHO}, headers=patient.authorization
    )
    ended = began + timedelta(seconds=monotonic() - since)
    if response.status in {401, 403}:
        raise token_refused(first_message(body))
    try:
        return json.loads(body)["data"] | {}, began, ended
    except (ValueError, KeyError, TypeError):
        raise Wrong(
            f"POST /graphql says {response.status} {first_message(body)!r}",
            "Let the proxy pass POST /graphql on with its body and its Authorization header; "
            "if it does, the server's log says more.",
        ) from None
