"""Django's record of this app."""

from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    name = "control_plane.idempotency"
    label = "idempotency"
    default_auto_field = "django.db.models.BigAutoField"
