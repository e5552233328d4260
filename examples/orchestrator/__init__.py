"""A small, real orchestrator: it reports this machine to a kici_gql server, runs agents on it, and workflows on these.

Read bottom-up: ``machine`` (figures of this computer), ``messages`` (what orchestrator and agent say to
each other), ``lines`` and ``job`` (a job and what it prints, in the agent), ``agent`` (the agent's own process),
``agent_process`` (the orchestrator's end of one agent), ``scaler`` (keeps agents running), ``state`` and ``book`` (what
survives a restart), ``backoff``, ``client`` (GraphQL), ``reports``, ``timetable`` (schedules), ``definitions`` (the file of
workflows), ``registry``, ``execution`` (one run), ``outbox`` (what the server has to be told),
``dispatcher`` (runs and agents), ``clockwork`` (schedules fire), ``commands`` (what users ask),
``orchestrator`` (the loop that ties them together), ``program`` (the command line).
"""

VERSION = "0.1.0"
"""Version that this orchestrator and its agents report about themselves."""
