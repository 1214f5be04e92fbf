"""What was changed by hand on servers, as the API shows it."""

from __future__ import annotations

from rest_framework import serializers

from control_plane.fleet.models import DriftFinding


class DriftSerializer(serializers.ModelSerializer[DriftFinding]):
    """Something that was changed by hand on a server."""

    server = serializers.CharField(source="server.name")
    endpoints = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = DriftFinding
        fields = (
            "server",
            "kind",
            "subject",
            "endpoints",
            "detail",
            "problem",
            "seen_at",
            "put_right_at",
        )
