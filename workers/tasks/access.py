"""Forgetting sessions that are over."""

from __future__ import annotations

from celery import shared_task

from control_plane.access.logins import forget_sessions


@shared_task(name="access.forget")
def forget() -> None:
    """Removes the sessions of browsers that have ended."""
    forget_sessions()
