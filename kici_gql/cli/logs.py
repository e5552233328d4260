"""What the server logs: one line for people, or one JSON object a line. Never a token."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

_SECRET = re.compile(r"kgq_[A-Za-z0-9_-]{4,}")


class _Redacted(logging.Formatter):
    """Takes tokens out of whatever is logged: an exception's text may quote a request."""

    def format(self, record: logging.LogRecord) -> str:
        return _SECRET.sub("kgq_…", super().format(record))


class _Json(_Redacted):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.message,
        }
        return json.dumps(line, ensure_ascii=False)

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        if record.exc_info:
            record.message += "\n" + self.formatException(record.exc_info)
        return _SECRET.sub("kgq_…", self.formatMessage(record))


def logging_config(level: str, style: str) -> dict[str, Any]:
    """For `logging.config.dictConfig` and for uvicorn, which would otherwise bring its own."""
    if_serious = max(level.upper(), "WARNING", key=logging.getLevelNamesMapping().__getitem__)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": _Redacted, "format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
            "json": {"()": _Json},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": style}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "uvicorn.error": {"level": level.upper()},
            # Each socket would be three lines; they are counted in /metrics.
            "kici_gql.api.transport.sockets": {"level": if_serious},
            # At DEBUG it prints the arguments of whatever is read or written, and so what people sent.
            "aiosqlite": {"level": if_serious},
            "alembic": {"level": if_serious},
        },
    }
