"""The live side of the event log: what happened, as it happens, from any position."""

from kici_gql.feed.feed import Expired, Feed, Page

__all__ = ["Expired", "Feed", "Page"]
