"""Django's record of this app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccessConfig(AppConfig):
    name = "control_plane.access"
    label = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from control_plane.access.roles import give_roles_their_permissions

        # After Django's own receiver, which makes an app's permissions: `auth` comes before.
        post_migrate.connect(give_roles_their_permissions, dispatch_uid="access.roles")
