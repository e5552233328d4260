"""What the errors of a database mean to whoever asked for something."""

import sqlite3

from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoneFree

from kici_gql.errors import InvalidInput

# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_DATA = ("22",)
# Of the connection, of who may connect to what, of who was first, of too little of something, of a lock that somebody
# holds, of an operator's doing such as a restart.
_AWAY = ("08", "28", "3D", "40", "53", "55P", "57P")
# https://www.sqlite.org/rescode.html
_FILE_AWAY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}


def is_away(error: BaseException) -> bool:
    """Whether the database can't be used now, and whatever was asked of it may be asked again.

    What is tried on a lost connection, such as to end a savepoint, is a pending rollback.
    """
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _FILE_AWAY
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _sqlstate(cause).startswith(_AWAY)
    return isinstance(error, OSError | PendingRollbackError | NoneFree)


def in_a_line(error: BaseException) -> str:
    """What was wrong, for the log: without the statement and its values."""
    return " ".join(f"{type(error).__name__}: {_cause(error)}".split())[:200]


def about_values(error: Exception) -> Exception:
    """InvalidInput in place of what PostgreSQL says to a value that it can't hold; any other error as it is."""
    if not _sqlstate(_cause(error)).startswith(_DATA):
        return error
    return InvalidInput("a value can't be stored", hint="Send printable characters and numbers in range.")


def _cause(error: BaseException) -> BaseException:
    """What the driver said."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _sqlstate(cause: BaseException) -> str:
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else ""
