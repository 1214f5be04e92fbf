"""API tokens, the people behind them, and grants of a role on one name."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from control_plane.access.targets import target_of
from control_plane.domain.access import Kind, Role, Scope, Target
from control_plane.domain.names import PUBLIC_NAME_RULE

PREFIX = "nrd_"
ROLES = [(role.value, role.value) for role in Role]
KINDS = [(kind.value, kind.value) for kind in Kind]

public_name = RegexValidator(r"\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z", PUBLIC_NAME_RULE)


def token_digest(token: str) -> str:
    """Hex sha256 of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


class LiveTokens(models.QuerySet["ApiToken"]):
    """Queries over tokens."""

    def live(self, now: datetime) -> LiveTokens:
        """Neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiToken(models.Model):
    """A bearer token of a user; only its hash is kept.

    `role` and `names` are its scope: what it lets its user do at most.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    role = models.CharField(max_length=16, choices=ROLES, default=Role.ADMIN.value)
    names = ArrayField(
        models.CharField(max_length=63, validators=[public_name]), default=list, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = LiveTokens.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "API token"
        constraints = (
            models.CheckConstraint(
                condition=Q(role__in=[role.value for role in Role]), name="token_role_is_known"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> Scope:
        return Scope(Role(self.role), frozenset(self.names))

    def state(self, now: datetime) -> str:
        """`live`, `expired` or `revoked`."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else "live"

    @classmethod
    def issue(
        cls,
        *,
        user: models.Model,
        name: str,
        expires_at: datetime | None = None,
        scope: Scope | None = None,
    ) -> tuple[ApiToken, str]:
        """Makes a token; the second value is the only time it is seen in clear."""
        token = PREFIX + secrets.token_urlsafe(32)
        scope = scope or Scope()
        row = cls.objects.create(
            user=user,
            name=name,
            digest=token_digest(token),
            expires_at=expires_at,
            role=scope.role,
            names=sorted(scope.names),
        )
        return row, token


class Bearer(User):
    """A person as a token lets them act: every question about rights asks the token too."""

    token: ApiToken

    class Meta:
        proxy = True
        default_permissions = ()

    @classmethod
    def of(cls, token: ApiToken) -> Bearer:
        """The owner of a token whose `user` was fetched with it."""
        fields = [field.attname for field in cls._meta.concrete_fields]
        values = [getattr(token.user, name) for name in fields]
        bearer: Bearer = cls.from_db(token._state.db, fields, values)
        bearer.token = token
        return bearer

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        target = target_of(obj)
        return self.token.scope.allows(perm, target) and self.owner_has_perm(perm, obj)

    def owner_has_perm(self, perm: str, obj: Any = None) -> bool:
        """Whether the person may do it, whatever the token allows."""
        return super().has_perm(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        return any(perm.startswith(f"{app_label}.") for perm in self.get_all_permissions())

    def get_all_permissions(self, obj: Any = None) -> set[str]:
        target = target_of(obj)
        held: Iterable[str] = super().get_all_permissions(obj)
        return {perm for perm in held if self.token.scope.allows(perm, target)}


class Grant(models.Model):
    """A role on one name, for a person or a group; the name need not exist yet."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="grants",
    )
    group = models.ForeignKey(
        Group, on_delete=models.CASCADE, null=True, blank=True, related_name="grants"
    )
    role = models.CharField(max_length=16, choices=ROLES)
    kind = models.CharField("on", max_length=16, choices=KINDS)
    name = models.CharField(
        max_length=63,
        validators=[public_name],
        help_text="The model's or endpoint's name; it need not exist yet.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("kind", "name", "role")
        permissions = (("give_roles", "Can give roles and grants"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True)
                | Q(user__isnull=True, group__isnull=False),
                name="grant_is_for_one",
            ),
            models.CheckConstraint(
                condition=Q(role__in=[role.value for role in Role]), name="grant_role_is_known"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in Kind]), name="grant_kind_is_known"
            ),
            models.UniqueConstraint(
                fields=["user", "kind", "name", "role"], name="grant_once_for_user"
            ),
            models.UniqueConstraint(
                fields=["group", "kind", "name", "role"], name="grant_once_for_group"
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} of {self.target} for {self.grantee}"

    @property
    def target(self) -> Target:
        return Target(Kind(self.kind), self.name)

    @property
    def grantee(self) -> str:
        return f"group {self.group}" if self.group_id else str(self.user)


class Identity(models.Model):
    """Who a person is at an identity provider: its issuer and their subject there, nothing else.

    Names and addresses change hands; a subject does not.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities"
    )
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    roles = ArrayField(
        models.CharField(max_length=16, choices=ROLES), default=list, blank=True, editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        verbose_name_plural = "identities"
        constraints = (
            models.UniqueConstraint(fields=["issuer", "subject"], name="identity_is_one_person"),
        )

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
