"""Django's record of this app."""

from django.apps import AppConfig
from django.conf import settings

from control_plane.domain.registry.allowed_parameters import put_in_force


class RegistryConfig(AppConfig):
    name = "control_plane.registry"
    label = "registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        put_in_force(settings.NEREID_ALLOW_PARAMETERS)
