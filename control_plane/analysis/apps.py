"""Django's record of this app."""

from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    name = "control_plane.analysis"
    label = "analysis"
    default_auto_field = "django.db.models.BigAutoField"
