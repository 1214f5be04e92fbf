"""Django's record of this app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "control_plane.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"
