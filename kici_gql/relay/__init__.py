"""The KiCI Platform protocol: a stock orchestrator connects here and calls the same actions as GraphQL does."""

from kici_gql.relay.endpoint import RelayEndpoint

__all__ = ["RelayEndpoint"]
