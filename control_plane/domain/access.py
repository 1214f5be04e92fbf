"""Roles, what each may do, and what grants and tokens narrow that to.

Permissions are named as Django names them: `<app>.<verb>_<record>`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

REPORT_FEEDBACK = "endpoints.report_feedback"
"""To say what became of an endpoint's answers: rollouts are decided by it."""

RECORD = "tuning.add_recording"
"""To record what callers send to an endpoint, and to have it sent again: it may be private."""

PUBLISH_CODE = "registry.publish_code"
"""To publish what is run, not only read: Python models, TorchScript, custom-op libraries."""


class Role(StrEnum):
    """What a person is to Nereid, or to one name in it."""

    VIEWER = "viewer"
    REPORTER = "reporter"
    PUBLISHER = "publisher"
    OPERATOR = "operator"
    ADMIN = "admin"


class Kind(StrEnum):
    """What a grant is about."""

    MODEL = "model"
    ENDPOINT = "endpoint"


SAYS = {
    Role.VIEWER: "sees models, endpoints, servers and the audit record",
    Role.REPORTER: "reports feedback on answers, as applications do; sees everything",
    Role.PUBLISHER: "makes models and pushes versions of them; sees everything",
    Role.OPERATOR: "moves traffic: endpoints, policies, rollouts, profiles; sees everything",
    Role.ADMIN: "does everything, and says who else may do what",
}

_LOOK = (
    "registry.view_*",
    "endpoints.view_*",
    "analysis.view_*",
    "rollouts.view_*",
    "fleet.view_*",
    "tuning.view_*",
    "audit.view_auditevent",
)
_MAY: dict[Role, tuple[str, ...]] = {
    Role.VIEWER: _LOOK,
    Role.REPORTER: (*_LOOK, REPORT_FEEDBACK),
    Role.PUBLISHER: (
        *_LOOK,
        "registry.add_model",
        "registry.change_model",
        "registry.*_modelversion",
        "registry.*_alias",
        "registry.*_pipeline",
        "tuning.*_perfrun",
        "tuning.*_tune",
    ),
    Role.OPERATOR: (
        *_LOOK,
        "endpoints.*_endpoint",
        "rollouts.*_rollout",
        "analysis.*_analysistemplate",
        REPORT_FEEDBACK,
        "fleet.change_server",
        "registry.*_profile",
        "registry.*_pipeline",
        "tuning.*_perfrun",
        "tuning.*_tune",
        "tuning.*_recording",
    ),
    Role.ADMIN: ("*",),
}


@dataclass(frozen=True)
class Target:
    """One model or endpoint, by its name; there need not be one."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class AccessPath:
    """How a record says which model or endpoint it belongs to: a lookup from the record."""

    kind: Kind
    lookup: str

    def target(self, record: object) -> Target:
        value = record
        for part in self.lookup.split("__"):
            value = getattr(value, part)
        return Target(self.kind, str(value))


@dataclass(frozen=True)
class Scope:
    """What a token lets its owner do at most: a role's deeds, on all names or on these.

    A scope of names reaches nothing that belongs to no model and no endpoint.
    """

    role: Role = Role.ADMIN
    names: frozenset[str] = frozenset()

    def allows(self, permission: str, target: Target | None) -> bool:
        if not role_may(self.role, permission):
            return False
        return not self.names or (target is not None and target.name in self.names)

    def __str__(self) -> str:
        return f"{self.role} of {', '.join(sorted(self.names))}" if self.names else self.role


def role_may(role: Role, permission: str) -> bool:
    """Whether the role has the permission.

    >>> role_may(Role.PUBLISHER, "registry.add_modelversion")
    True
    >>> role_may(Role.PUBLISHER, "registry.publish_code")
    False
    """
    return any(fnmatchcase(permission, pattern) for pattern in _MAY[role])


def roles_with(permission: str) -> list[Role]:
    """The roles that have the permission, for people to read."""
    return [role for role in Role if role_may(role, permission)]


def in_words(roles: Iterable[Role]) -> str:
    """
    >>> in_words([Role.OPERATOR, Role.ADMIN])
    'operator or admin'
    """
    *first, last = roles
    return f"{', '.join(first)} or {last}" if first else str(last)
