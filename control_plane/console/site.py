"""The console's site: Unfold's, with a home page of its own."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from control_plane.access.logins import PASSWORD, has_to_wait, note_login, note_logout
from control_plane.console import sign_in
from control_plane.console.home import live, live_charts, live_endpoint, live_server
from control_plane.console.perf_page import live_perf_run
from control_plane.console.rollout_page import live_rollout
from control_plane.console.tune_page import live_tune
from control_plane.console.webhook_page import live_webhook


class ConsoleSite(UnfoldAdminSite):
    """`/console/`."""

    index_template = "console/home.html"
    index_title = "Overview"
    empty_value_display = "–"  # noqa: RUF001 - a dash people know as "nothing here"

    login_template = "console/login.html"

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The login; an address from which too many passwords were wrong has to wait."""
        if request.method == "POST" and (wait := has_to_wait(request)):
            return sign_in.too_many(request, wait)
        response = super().login(request, {**sign_in.offered(request), **(extra_context or {})})
        came_in = request.method == "POST" and response.status_code == 302
        if came_in and isinstance(request.user, User):
            # One that was begun at the provider first would end as early as that.
            request.session.set_expiry(None)
            note_login(request, request.user, PASSWORD)
        return response

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ends our session, and leads on to where the provider's is ended, if it has one."""
        held = request.session.get(sign_in.SESSION)
        with transaction.atomic():
            if request.method == "POST" and isinstance(request.user, User):
                note_logout(request, request.user)
            response = super().logout(request, extra_context)
        there = sign_in.provider_logout(request, held) if request.method == "POST" else ""
        return HttpResponseRedirect(there) if there else response

    def extra_urls(self) -> list[URLPattern]:
        """Unfold's hook for pages beside those of the records."""
        return [
            path("login/oidc/", sign_in.begin, name="oidc_begin"),
            path("login/oidc/callback/", sign_in.callback, name="oidc_callback"),
            path("live/", live, name="live"),
            path("live/<uuid:endpoint_id>/", live_endpoint, name="live_endpoint"),
            path("live/<uuid:endpoint_id>/charts/", live_charts, name="live_charts"),
            path("live/server/<uuid:server_id>/", live_server, name="live_server"),
            path("live/rollout/<uuid:rollout_id>/", live_rollout, name="live_rollout"),
            path("live/tune/<int:number>/", live_tune, name="live_tune"),
            path("live/perf-run/<int:number>/", live_perf_run, name="live_perf_run"),
            path("live/webhook/<uuid:webhook_id>/", live_webhook, name="live_webhook"),
        ]
