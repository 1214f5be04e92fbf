"""How the OpenAPI document reads: each operation's first docstring line is its summary."""

from __future__ import annotations

from drf_spectacular.openapi import AutoSchema


class DocumentedSchema(AutoSchema):
    """`drf-spectacular`'s schema with summaries."""

    def get_summary(self) -> str:
        """The first line; where a generic list has none of its own, what the view is."""
        first, _, _ = self.get_description().strip().partition("\n")
        return first.rstrip(".")

    def get_description(self) -> str:
        """What the method says, else what the view says."""
        return super().get_description() or ""
