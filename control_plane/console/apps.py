"""Django's record of this app."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "control_plane.console"
    label = "console"
    default_auto_field = "django.db.models.BigAutoField"
