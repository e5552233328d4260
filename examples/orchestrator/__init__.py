"""A small, real orchestrator: it reports this machine to a kici_gql server and runs agents on it.

Read bottom-up: ``machine`` (figures of this computer), ``messages`` (what orchestrator and agent say to
each other), ``agent`` (the agent's own process), ``agent_process`` (the orchestrator's end of one agent),
``scaler`` (keeps agents running), ``state`` (what survives a restart), ``backoff``, ``client`` (GraphQL),
``orchestrator`` (the loop that ties them together), ``program`` (the command line).
"""

VERSION = "0.1.0"
"""Version that this orchestrator and its agents report about themselves."""
