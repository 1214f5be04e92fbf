"""Kept answers."""

from __future__ import annotations

from django.db import models


class KeptAnswer(models.Model):
    """What was answered to one caller's request with one key.

    The key is kept as its digest, and the answer sealed: some answers hold a secret that is
    shown once, and whoever reads the table shall not see it.
    """

    caller = models.CharField(max_length=64)
    key_digest = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.BinaryField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["caller", "key_digest"], name="answer_once_per_key"),
        )

    def __str__(self) -> str:
        return f"{self.status} to {self.caller}"
