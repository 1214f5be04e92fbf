"""Django's record of this app."""

from django.apps import AppConfig


class RolloutsConfig(AppConfig):
    name = "control_plane.rollouts"
    label = "rollouts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from control_plane.audit.services import recorded
        from control_plane.endpoints.kill import pressed
        from control_plane.rollouts.overtaken import end_what_was_killed, end_what_was_overtaken

        recorded.connect(end_what_was_overtaken, dispatch_uid="rollouts.overtaken")
        pressed.connect(end_what_was_killed, dispatch_uid="rollouts.killed")
