"""Who may read and write what."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request


class RecordPermission(BasePermission):
    """Everybody who is logged in reads; a write needs the view's Django permission.

    A view names it as `write_permission`; one that names none takes no writes.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or not user.is_authenticated:
            return False
        if request.method in SAFE_METHODS:
            return True
        if request.method not in view.allowed_methods:
            return True  # which method there is does not depend on who asks: 405 says it
        needed = getattr(view, "write_permission", None)
        if needed is None:
            return False
        self.message = f"this needs the permission {needed}"
        return bool(user.has_perm(needed))
