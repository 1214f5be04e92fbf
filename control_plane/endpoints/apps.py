"""Django's record of this app."""

from django.apps import AppConfig


class EndpointsConfig(AppConfig):
    name = "control_plane.endpoints"
    label = "endpoints"
    default_auto_field = "django.db.models.BigAutoField"
