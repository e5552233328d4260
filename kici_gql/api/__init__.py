"""The GraphQL outside view."""
