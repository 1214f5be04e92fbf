"""A finding that is measured from the page of figures, and what came of it beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.kpis.opportunities import finding_at
from control_plane.domain.kpis.span import read_span
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.endpoints.kpis import endpoint_kpis
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.telemetry.store import RETENTION
from control_plane.tuning.tries import Tried, start_try


def try_context(request: HttpRequest, said: Mapping[str, str]) -> dict[str, Any]:
    """Who may measure findings, and where; figures of a time in the past are not gone back to."""
    may = request.user.has_perm("tuning.add_perfrun") and not said.get("since")
    labs = Server.objects.filter(lab=True).order_by("name").values_list("name", flat=True)
    return {"may_try": may, "labs": list(labs) if may else []}


def shown_try(tried: Tried) -> dict[str, Any]:
    """A try for the page: its runs, and by how much of a row's mean time it was less."""
    row = tried.row
    runs = [(run.pk, change_url(run)) for run in (row.before, row.after) if run is not None]
    less = 100 * (1 - tried.measured.ratio) if tried.measured else 0.0
    return {"of": tried, "runs": runs, "less": less, "more": -less}


def try_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """POST asks for the perf runs of one finding, and leads back to the figures."""
    window = request.POST.get("window", "").strip()
    there = reverse("admin:endpoints_endpoint_figures", args=[endpoint.pk])
    back = HttpResponseRedirect(f"{there}?{urlencode({'window': window})}" if window else there)
    if request.method != "POST":
        return back
    try:
        row = _started(request, endpoint, window)
    except InvalidInputError as error:
        said = "; ".join(one.detail for one in error.violations)
        pages.message_user(request, f"Not measured: {said}", messages.ERROR)
    except (ConflictError, NotAllowedError, NotFoundError) as error:
        pages.message_user(request, f"Not measured: {error}", messages.ERROR)
    else:
        said = f"Perf runs {row.before_id} and {row.after_id} measure it on {row.server_name}."
        pages.message_user(request, said, messages.SUCCESS)
    return back


def _started(request: HttpRequest, endpoint: Endpoint, window: str) -> Any:
    span = read_span(window or None, None, None, now=wiring.clock().now(), kept=RETENTION)
    found = endpoint_kpis(
        name=endpoint.name, span=span, store=wiring.telemetry(), network_of=wiring.network_to
    )
    place = [request.POST.get(key, "") for key in ("code", "arm", "step")]
    return start_try(
        endpoint=endpoint.name,
        finding=finding_at(found.findings, *place),
        server=request.POST.get("server") or None,
        actor=request.user.get_username(),
        clock=wiring.clock(),
        queue=wiring.queue(),
        endpoints=wiring.endpoint_facts(),
        store=wiring.artifact_store(),
    )
