"""The console's site: Unfold's, with a home page of its own."""

from __future__ import annotations

from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from control_plane.console.home import live, live_charts, live_endpoint, live_server


class ConsoleSite(UnfoldAdminSite):
    """`/console/`."""

    index_template = "console/home.html"
    index_title = "Overview"
    empty_value_display = "–"  # noqa: RUF001 - a dash people know as "nothing here"

    def extra_urls(self) -> list[URLPattern]:
        """Unfold's hook for pages beside those of the records."""
        return [
            path("live/", live, name="live"),
            path("live/<uuid:endpoint_id>/", live_endpoint, name="live_endpoint"),
            path("live/<uuid:endpoint_id>/charts/", live_charts, name="live_charts"),
            path("live/server/<uuid:server_id>/", live_server, name="live_server"),
        ]
