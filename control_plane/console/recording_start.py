"""The form that asks for a recording of what callers send, on an endpoint's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.perf.recording import MAX_BYTES, MAX_REQUESTS, MIB
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.models import Endpoint
from control_plane.tuning.models import Recording
from control_plane.tuning.recordings import start_recording


class RecordingForm(forms.Form):
    """What is recorded; what its words mean is `domain.perf.recording.read_recording`'s."""

    requests = forms.IntegerField(
        initial=200, min_value=1, max_value=MAX_REQUESTS, help_text="at most"
    )
    mebibytes = forms.IntegerField(
        initial=16, min_value=1, max_value=MAX_BYTES // MIB, label="MiB", help_text="at most"
    )
    length = forms.CharField(initial="10m", max_length=20, help_text="at most: 90s, 10m, 2h")
    percent = forms.FloatField(
        initial=100, min_value=0.01, max_value=100, help_text="of the requests, evenly spread"
    )
    name = forms.CharField(required=False, max_length=63, help_text="empty: after the endpoint")
    server = forms.ChoiceField(required=False)
    reason = forms.CharField(required=False, max_length=500, label="why")

    def __init__(self, endpoint: Endpoint, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        up = endpoint.placements.filter(switched__gt=0).order_by("server__name")
        names = up.values_list("server__name", flat=True)
        choices = [("", "any that serves it"), *((name, name) for name in names)]
        self.fields["server"].choices = choices  # type: ignore[attr-defined]

    def document(self) -> dict[str, Any]:
        """The request as the service reads it."""
        said = self.cleaned_data
        return {
            **{key: said[key] for key in ("requests", "percent")},
            **{key: said[key].strip() or None for key in ("length", "name", "server")},
            "bytes": said["mebibytes"] * MIB,
        }


def record_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET shows the form; POST starts the recording and leads to it."""
    form = RecordingForm(endpoint, request.POST or None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            row = _started(request, form, endpoint)
            pages.message_user(request, f"Recording {row.name} is {row.state}.", messages.SUCCESS)
            return HttpResponseRedirect(change_url(row))
        except InvalidInputError as error:
            for violation in error.violations:
                name = violation.pointer.strip("/").replace("bytes", "mebibytes")
                form.add_error(name if name in form.fields else None, violation.detail)
        except (ConflictError, NotFoundError) as error:
            refusal = str(error)
    context = {"original": endpoint, "form": form, "error": refusal, "back": change_url(endpoint)}
    response = pages.page(
        request, "console/recording_start.html", f"Record requests of {endpoint}", context
    )
    response.status_code = 409 if refusal else 200
    return response


def _started(request: HttpRequest, form: RecordingForm, endpoint: Endpoint) -> Recording:
    return start_recording(
        endpoint=endpoint.name,
        document=form.document(),
        actor=request.user.get_username(),
        clock=wiring.clock(),
        queue=wiring.queue(),
        endpoints=wiring.endpoint_facts(),
        reason=form.cleaned_data["reason"].strip(),
    )
