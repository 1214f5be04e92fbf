"""Log lines that say which request they belong to, and of what they are: for people, or as JSON.

`NEREID_LOG_FORMAT=json` is for what collects logs: a JSON object a line, with the ids that join the
lines of the API, the workers and the nodes, and those of the trace. No form of them has a secret
that can be told by its looks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace

from control_plane.audit.request import request_id
from control_plane.audit.subject import subject
from control_plane.domain.concealing import concealed

SETTING = "NEREID_LOG_FORMAT"


class LogSettingsError(ValueError):
    """The environment asks for a form of log lines that there is not."""


class RequestIdFilter(logging.Filter):
    """Gives every record `request`: ` [id]` where a request is being answered or worked for."""

    def filter(self, record: logging.LogRecord) -> bool:
        identity = request_id()
        record.request = f" [{identity}]" if identity else ""
        return True


class TextLines(logging.Formatter):
    """A line for people; what was raised stands below it."""

    def format(self, record: logging.LogRecord) -> str:
        return concealed(super().format(record))


class JsonLines(logging.Formatter):
    """A JSON object a line, whatever the message has in it; what is not known is left out."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": concealed(record.getMessage()),
        }
        if identity := request_id():
            said["request_id"] = concealed(identity)
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            said["trace_id"] = trace.format_trace_id(span.trace_id)
            said["span_id"] = trace.format_span_id(span.span_id)
        said |= {key: value for key, value in subject().items() if key not in said}
        if record.exc_info:
            said["exception"] = concealed(self.formatException(record.exc_info))
        text = json.dumps(said, ensure_ascii=False, default=str)
        # Half a character, as names of files may have, is written down as JSON does it.
        return text.encode(errors="backslashreplace").decode()


def logging_config(environment: Mapping[str, str]) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes.

    Raises:
        LogSettingsError: NEREID_LOG_FORMAT is neither text nor json.
    """
    form = environment.get(SETTING) or "text"
    if form not in ("text", "json"):
        raise LogSettingsError(f"{SETTING}={form}: there is text, and json")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": RequestIdFilter}},
        "formatters": {
            "text": {
                "()": TextLines,
                "fmt": "%(levelname)s %(name)s%(request)s: %(message)s",
            },
            "json": {"()": JsonLines},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["request"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "alembic")},
            # It has handlers of its own, and quotes what it cannot read: a caller's headers.
            "gunicorn.error": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        },
    }
