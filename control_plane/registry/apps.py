"""Django's record of this app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "control_plane.registry"
    label = "registry"
    default_auto_field = "django.db.models.BigAutoField"
