"""Mutations: parse the input, call the action, answer with data. Nothing is decided here."""

import strawberry

from kici_gql.api.mutations.alerts import AlertMutations
from kici_gql.api.mutations.orchestrators import OrchestratorMutations
from kici_gql.api.mutations.tokens import TokenMutations


@strawberry.type(description="What can be changed. Object first: `alertAcknowledge`, `tokenCreate`.")
class Mutation(OrchestratorMutations, AlertMutations, TokenMutations): ...


__all__ = ["Mutation"]
