"""Which model or endpoint a question about rights is about."""

from __future__ import annotations

from django.db.models import Model, QuerySet

from control_plane.domain.access import AccessPath, Target


def access_path(kind_of: type[Model] | None) -> AccessPath | None:
    """What a record class says of itself in `access_path`; None: it belongs to no name."""
    return getattr(kind_of, "access_path", None)


def target_of(obj: object) -> Target | None:
    """The model or endpoint that `obj` is or belongs to; None where it is neither."""
    if obj is None or isinstance(obj, Target):
        return obj
    path = access_path(type(obj)) if isinstance(obj, Model) else None
    return path.target(obj) if path else None


def only_named(rows: QuerySet[Model], names: frozenset[str] | None) -> QuerySet[Model]:
    """The rows that belong to these names; all of them for None, or where none has a name."""
    path = access_path(rows.model)
    if names is None or path is None:
        return rows
    return rows.filter(**{f"{path.lookup}__in": sorted(names)})
