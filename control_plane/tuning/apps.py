"""Django's record of this app."""

from django.apps import AppConfig


class TuningConfig(AppConfig):
    name = "control_plane.tuning"
    label = "tuning"
    default_auto_field = "django.db.models.BigAutoField"
