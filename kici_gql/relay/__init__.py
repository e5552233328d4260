"""The KiCI Platform protocol: a stock orchestrator connects here and calls the same actions as GraphQL does."""
