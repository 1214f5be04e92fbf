"""The one place that answers what a person may do: the API and the console both ask here."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from control_plane.access.selectors import grants_of
from control_plane.access.targets import target_of
from control_plane.domain.access import role_may


class AccessBackend(ModelBackend):
    """Django's permissions of person and groups, and with an object also its grants."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Whether the person may do that everywhere, or to this object.

        Args:
            obj: None, a `domain.access.Target`, or a record that belongs to one.
        """
        if not user_obj.is_active:
            return False
        if super().has_perm(user_obj, perm):
            return True
        target = target_of(obj)
        if target is None:
            return False
        return any(
            grant.target == target and role_may(grant.role, perm) for grant in grants_of(user_obj)
        )
