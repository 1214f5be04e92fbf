"""Where everything is: the API, its documentation, the console."""

from __future__ import annotations

from csp.constants import SELF
from csp.decorators import csp_replace
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.defaults import bad_request, page_not_found, server_error
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from control_plane.api.errors import plain_problem
from control_plane.api.metrics_resource import MetricsView

# Its script comes from an address of its own, and nothing in it is evaluated.
docs = csp_replace({"script-src": [SELF]})(SpectacularSwaggerSplitView.as_view(url_name="schema"))

urlpatterns = [
    re_path(r"^api/schema/?$", SpectacularAPIView.as_view(), name="schema"),
    re_path(r"^api/docs/?$", docs, name="docs"),
    path("api/v1/", include("control_plane.api.urls")),
    re_path(r"^metrics/?$", MetricsView.as_view(), name="metrics"),
    path("console/", admin.site.urls),
    path("console", RedirectView.as_view(pattern_name="admin:index")),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A problem document under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return plain_problem(request, 404, f"there is nothing at {request.path}")
    return page_not_found(request, exception)


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A problem document under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return plain_problem(request, 400, str(exception) or "this request cannot be read")
    return bad_request(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """A problem document under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return plain_problem(request, 500, "something went wrong here; the server's log has it")
    return server_error(request)


handler400 = "control_plane.urls.refused"
handler404 = "control_plane.urls.not_found"
handler500 = "control_plane.urls.failed"
