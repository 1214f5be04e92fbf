"""Django's record of this app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "control_plane.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from control_plane import wiring
        from control_plane.webhooks.outbox import written

        # The outbox lies below the wiring and cannot ask it for the queue.
        written.connect(wiring.hand_over_deliveries, dispatch_uid="wiring.webhooks")
