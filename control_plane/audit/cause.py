"""What a message that is sent now goes back to."""

from __future__ import annotations

from control_plane.adapters.queue import REQUEST_ID_HEADER, ROLLOUT_HEADER
from control_plane.audit.request import request_id
from control_plane.audit.subject import subject


def cause() -> dict[str, str]:
    """The request that is being answered, and the rollout that is looked at, by header; or ""."""
    return {
        REQUEST_ID_HEADER: request_id(),
        ROLLOUT_HEADER: str(subject().get("rollout", "")),
    }
