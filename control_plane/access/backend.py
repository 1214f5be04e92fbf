"""The one place that answers what a person may do: the API and the console both ask here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from control_plane.access.selectors import grants_of
from control_plane.access.targets import target_of
from control_plane.domain.access import role_may


class AccessBackend(ModelBackend):
    """Django's permissions of person and groups, and with an object also its grants."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> Any:
        """The person of this name and password; nobody where passwords are switched off."""
        if not settings.NEREID_PASSWORD_LOGIN:
            return None
        return super().authenticate(request, username, password, **more)

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
