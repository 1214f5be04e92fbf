"""Reading the audit record."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from control_plane.audit.models import AuditEvent

ABOUT_PEOPLE = ("user", "group", "grant", "token", "webhook", "request")
"""What these events say of others is for who may see the people themselves; a webhook's URL lets
whoever knows it write to somebody's channel; a refused request says what somebody tried."""


def events_for(user: Any) -> QuerySet[AuditEvent]:
    """The events that somebody who may read the record sees."""
    if user.has_perm("auth.view_user"):
        return AuditEvent.objects.all()
    own = Q(actor=user.get_username())
    return AuditEvent.objects.filter(own | ~Q(object_type__in=ABOUT_PEOPLE))
