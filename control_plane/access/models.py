"""API tokens."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

PREFIX = "nrd_"


def token_digest(token: str) -> str:
    """Hex sha256 of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


class LiveTokens(models.QuerySet["ApiToken"]):
    """Queries over tokens."""

    def live(self, now: datetime) -> LiveTokens:
        """Neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiToken(models.Model):
    """A bearer token of a user; only its hash is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = LiveTokens.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(
        cls, *, user: models.Model, name: str, expires_at: datetime | None = None
    ) -> tuple[ApiToken, str]:
        """Makes a token; the second value is the only time it is seen in clear."""
        token = PREFIX + secrets.token_urlsafe(32)
        row = cls.objects.create(
            user=user, name=name, digest=token_digest(token), expires_at=expires_at
        )
        return row, token
