"""Where an endpoint is placed, as the API shows it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from control_plane.domain.placement.placing import Placing, Standing


class ServerPart(serializers.Serializer[Any]):
    """What a server is to an endpoint, and why."""

    server = serializers.CharField()
    standing = serializers.ChoiceField(
        [standing.value for standing in Standing],
        help_text="placed there; leaving it once the others serve; held there until another can "
        "take it; spare: it could take it; refused",
    )
    reason = serializers.CharField()


class PlacingSerializer(serializers.Serializer[Any]):
    """Where an endpoint is placed by what it says, and why not elsewhere."""

    servers = serializers.ListField(child=serializers.CharField())
    explanation = ServerPart(many=True, source="said")
    problem = serializers.CharField(help_text="What is not as it was wanted; empty: nothing.")


def shown(placing: Placing) -> dict[str, Any]:
    """A placing as the API shows it."""
    return dict(PlacingSerializer(placing).data)
