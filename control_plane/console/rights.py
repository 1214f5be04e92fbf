"""What a person may do on the console's pages: the auth backend is asked, with the record."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from control_plane.access.selectors import allowed_names, may_somewhere
from control_plane.access.targets import access_path, only_named
from control_plane.domain.access import Target


def sees(user: Any, record: str) -> bool:
    """Whether there is anything of that record (`registry.Model`) that the person may see."""
    model = apps.get_model(record)
    path = access_path(model)
    permission = f"{model._meta.app_label}.view_{model._meta.model_name}"
    return may_somewhere(user, permission, path.kind if path else None)


def visible(user: Any, rows: QuerySet[Any], *verbs: str) -> QuerySet[Any]:
    """Of these rows, those on which the person may do one of that (`view`, if none is named)."""
    path = access_path(rows.model)
    if path is None:
        return rows
    found: frozenset[str] = frozenset()
    for verb in verbs or ("view",):
        label = f"{rows.model._meta.app_label}.{get_permission_codename(verb, rows.model._meta)}"
        names = allowed_names(user, label, path.kind)
        if names is None:
            return rows
        found |= names
    return only_named(rows, found)


class GrantedAdmin(ModelAdmin):
    """A record's pages for those who have its permissions, or a grant on the record's name.

    Without a record a question means: is there anything this may be done to?
    """

    def may(self, request: HttpRequest, verb: str, record: Any = None) -> bool:
        """Whether the person may do that; `record` is one, its key, or None."""
        permission = f"{self.opts.app_label}.{get_permission_codename(verb, self.opts)}"
        if request.user.has_perm(permission):
            return True
        path = access_path(self.model)
        if path is None:
            return False
        if record is None:
            return may_somewhere(request.user, permission, path.kind)
        if not isinstance(record, Model):  # Unfold asks with the key
            record = self.get_object(request, str(record))
        return record is not None and request.user.has_perm(permission, record)

    def check_new(self, request: HttpRequest, values: dict[str, Any]) -> None:
        """A new record takes the permission, or a grant on the name it will belong to.

        Raises:
            PermissionDenied: the person has neither.
        """
        target: Target | None = None
        path = access_path(self.model)
        if path is not None:
            first, *rest = path.lookup.split("__")
            value = values.get(first)
            for part in rest:
                value = getattr(value, part, None)
            target = Target(path.kind, str(value))
        permission = f"{self.opts.app_label}.{get_permission_codename('add', self.opts)}"
        user: Any = request.user  # Django's stubs expect a record; the backend takes a target too
        if not user.has_perm(permission, target):
            raise PermissionDenied(f"this needs {permission} on {target}")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(request.user, super().get_queryset(request), "view", "change")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view", obj) or self.may(request, "change", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "delete", obj)
