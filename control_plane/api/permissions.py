"""Who may read and write what."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request

from control_plane.access.models import Bearer
from control_plane.access.selectors import may_somewhere
from control_plane.access.tokens import check_may_issue
from control_plane.domain.access import Kind, Target, in_words, roles_with


class RecordPermission(BasePermission):
    """A view says which permission a read needs (`read_permission`) and which a write.

    A view about models or endpoints says so (`kind`): then a grant on the name in its path is
    enough, a list shows what there are grants for, and a new one takes a grant on its name. A
    view that names no `write_permission` takes no writes.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or not user.is_authenticated:
            return False
        if request.method not in view.allowed_methods:
            return True  # which method there is does not depend on who asks: 405 says it
        reads = request.method in SAFE_METHODS
        needed = view.read_permission if reads else getattr(view, "write_permission", None)
        if needed is None:
            return False
        target = _target(request, view)
        self.message = _refusal(user, needed, target)
        if reads and target is None:
            return may_somewhere(user, needed, view.kind)
        return bool(user.has_perm(needed, target))


class TokenPermission(IsAuthenticated):
    """Everybody has tokens of their own, whatever they may do: a grant on one model is of no use
    to a program without one. A token that is limited makes none."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        if request.method == "POST":
            check_may_issue(request.user)
        return True


def _target(request: Request, view: Any) -> Target | None:
    """What the request is about, where the view knows a name for it."""
    kind: Kind | None = view.kind
    name = None if kind is None else view.target_name(request)
    return None if kind is None or name is None else Target(kind, name)


def _refusal(user: Any, needed: str, target: Target | None) -> str:
    where = f" on {target}" if target else ""
    if isinstance(user, Bearer) and user.owner_has_perm(needed, target):
        return f"this token is for {user.token.scope}, and this needs {needed}{where}"
    return f"this needs {needed}{where}: ask for the role {in_words(roles_with(needed))}"
