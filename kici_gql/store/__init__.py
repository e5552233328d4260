"""Every SQL statement of the product. Functions take a connection and the org, always; they never commit."""

from .database import Store
from .transaction import Tx

__all__ = ["Store", "Tx"]
