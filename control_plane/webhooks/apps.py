"""Django's record of this app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "control_plane.webhooks"
    label = "webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from control_plane.audit.services import recorded
        from control_plane.webhooks.outbox import tell_of_deed

        recorded.connect(tell_of_deed, dispatch_uid="webhooks.outbox")
