"""Django's record of this app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "control_plane.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from control_plane import wiring
        from control_plane.audit.services import recorded
        from control_plane.webhooks.outbox import written

        # The outbox lies below the wiring and cannot ask it for the queue; endpoints do not know
        # of what was recorded of them.
        written.connect(wiring.hand_over_deliveries, dispatch_uid="wiring.webhooks")
        recorded.connect(wiring.forget_what_was_recorded, dispatch_uid="wiring.recordings")
