"""The console's site: Unfold's, with a home page of its own."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from control_plane.access.throttle import address_of, throttle
from control_plane.console.home import live, live_charts, live_endpoint, live_server


class ConsoleSite(UnfoldAdminSite):
    """`/console/`."""

    index_template = "console/home.html"
    index_title = "Overview"
    empty_value_display = "–"  # noqa: RUF001 - a dash people know as "nothing here"

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The login; an address from which too many passwords were wrong has to wait."""
        address = address_of(request)
        if request.method == "POST" and (wait := throttle().refused("logins", address)):
            context = {**self.each_context(request), "wait": wait}
            page = render(request, "console/too_many.html", context, status=429)
            page["Retry-After"] = str(wait)
            return page
        response = super().login(request, extra_context)
        if request.method == "POST" and not request.user.is_authenticated:
            throttle().count("logins", address)
        return response

    def extra_urls(self) -> list[URLPattern]:
        """Unfold's hook for pages beside those of the records."""
        return [
            path("live/", live, name="live"),
            path("live/<uuid:endpoint_id>/", live_endpoint, name="live_endpoint"),
            path("live/<uuid:endpoint_id>/charts/", live_charts, name="live_charts"),
            path("live/server/<uuid:server_id>/", live_server, name="live_server"),
        ]
