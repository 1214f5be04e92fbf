"""Log lines with the id of the request that they belong to."""

from __future__ import annotations

import logging

from control_plane.audit.request import request_id


class RequestIdFilter(logging.Filter):
    """Gives every record `request`: ` [id]` where a request is being answered or worked for."""

    def filter(self, record: logging.LogRecord) -> bool:
        identity = request_id()
        record.request = f" [{identity}]" if identity else ""
        return True
