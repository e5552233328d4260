"""Every SQL statement of the product. Functions take a connection and the org, always; they never commit."""

from kici_gql.store.database import Store
from kici_gql.store.transaction import Tx

__all__ = ["Store", "Tx"]
