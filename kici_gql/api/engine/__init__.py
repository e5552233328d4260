"""The engine: documents, limits, execution and shared subscriptions; knows no transport."""
