"""How the OpenAPI document reads: each operation's first docstring line is its summary."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

from control_plane.api.idempotency import KEY_PARAMETER


class DocumentedSchema(AutoSchema):
    """`drf-spectacular`'s schema with summaries."""

    def get_override_parameters(self) -> list[Any]:
        """What every view of a kind takes, whoever wrote it."""
        own = super().get_override_parameters()
        return [*own, KEY_PARAMETER] if self.method == "POST" else own

    def get_summary(self) -> str:
        """The first line; where a generic list has none of its own, what the view is."""
        first, _, _ = self.get_description().strip().partition("\n")
        return first.rstrip(".")

    def get_description(self) -> str:
        """What the method says, else what the view says."""
        return super().get_description() or ""
