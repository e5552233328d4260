"""Mutations: parse the input, call the action, answer with data. Nothing is decided here."""

import strawberry

from kici_gql.api.mutations.alerts import AlertMutations
from kici_gql.api.mutations.orchestrators import OrchestratorMutations
from kici_gql.api.mutations.run_reports import RunReportMutations
from kici_gql.api.mutations.settings import SettingsMutations
from kici_gql.api.mutations.tokens import TokenMutations
from kici_gql.api.mutations.workflows import WorkflowMutations


@strawberry.type(description="What can be changed. Object first: `alertAcknowledge`, `tokenCreate`.")
class Mutation(
    OrchestratorMutations,
    RunReportMutations,
    WorkflowMutations,
    SettingsMutations,
    AlertMutations,
    TokenMutations,
): ...


__all__ = ["Mutation"]
