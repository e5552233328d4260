"""Self-hosted GraphQL API for KiCI orchestrators. Importing this costs nothing: it holds the version, no more."""

__version__ = "0.1.0.dev0"
