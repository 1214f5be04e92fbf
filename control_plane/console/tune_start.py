"""The form that asks for a tune, on a version's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.perf_start import INPUTS, offered_inputs
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.perf.request import QUANTILES
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.fleet.models import Server
from control_plane.tuning.models import Tune
from control_plane.tuning.recordings import may_send_by
from control_plane.tuning.services import LOAD_PRODUCTION
from control_plane.tuning.tunes import start_tune

OBJECTIVES = (
    ("throughput", "most throughput in the limit"),
    ("latency", "least latency at a rate"),
)


class TuneForm(forms.Form):
    """What a tune asks for; what its words mean is `domain.tuning.read_request`'s."""

    server = forms.ChoiceField()
    objective = forms.ChoiceField(choices=OBJECTIVES, initial="throughput")
    latency_limit = forms.CharField(
        required=False,
        max_length=20,
        initial="20ms",
        label="latency limit",
        help_text="of the most throughput: 20ms; empty: none",
    )
    percentile = forms.TypedChoiceField(
        coerce=int, choices=[(p, f"p{p}") for p in QUANTILES], initial=99, label="at"
    )
    rate = forms.FloatField(
        required=False,
        min_value=0.001,
        label="required rate",
        help_text="requests a second, of the least latency",
    )
    max_concurrency = forms.IntegerField(
        required=False, min_value=1, label="callers at most", help_text="64; of the most throughput"
    )
    trials = forms.IntegerField(
        initial=24, min_value=3, max_value=200, help_text="configurations that are tried at most"
    )
    time = forms.CharField(initial="20m", max_length=20, help_text="after it no trial begins")
    window = forms.CharField(initial="2s", max_length=20, help_text="a third of a level's time")
    protocol = forms.ChoiceField(choices=[("grpc", "gRPC"), ("http", "HTTP")])
    input = forms.ChoiceField(
        required=False,
        choices=INPUTS,
        help_text="recordings of an endpoint are here for whoever may record it",
    )
    allow_production = forms.BooleanField(
        required=False, label="it may be a server that is not marked as a lab"
    )
    reason = forms.CharField(required=False, max_length=500, label="why")

    def __init__(self, user: Any, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["input"].choices = offered_inputs(user)  # type: ignore[attr-defined]
        servers = Server.objects.order_by("-lab", "name")
        choices = [(one.name, f"{one.name}, a lab" if one.lab else one.name) for one in servers]
        self.fields["server"].choices = choices  # type: ignore[attr-defined]

    def document(self, version: Any) -> dict[str, Any]:
        """The request as the service reads it."""
        said = self.cleaned_data
        document = {
            "target": {"model": version.model.name, "version": version.number},
            **{
                name: said[name]
                for name in ("server", "objective", "percentile", "trials", "protocol")
            },
            "time": said["time"].strip(),
            "window": said["window"].strip(),
            "input": said["input"] or None,
        }
        if said["objective"] == "latency":
            return document | {"rate": said["rate"]}
        limit = said["latency_limit"].strip() or None
        return document | {"latency_limit": limit, "max_concurrency": said["max_concurrency"]}


def tune_start_page(pages: RecordAdmin, request: HttpRequest, version: Any) -> HttpResponse:
    """GET shows the form; POST starts the tune and leads to it."""
    form = TuneForm(request.user, request.POST or None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            tune = _started(request, form, version)
            pages.message_user(request, f"Tune {tune.pk} is {tune.state}.", messages.SUCCESS)
            return HttpResponseRedirect(change_url(tune))
        except InvalidInputError as error:
            for violation in error.violations:
                name = violation.pointer.strip("/").partition("/")[0]
                form.add_error(name if name in form.fields else None, violation.detail)
        except (ConflictError, NotAllowedError, NotFoundError) as error:
            refusal = str(error)
    context = {
        "original": version,
        "form": form,
        "error": refusal,
        "may_load_production": request.user.has_perm(LOAD_PRODUCTION),
        "labs": Server.objects.filter(lab=True).exists(),
        "servers": Server.objects.exists(),
        "back": change_url(version),
    }
    response = pages.page(request, "console/tune_start.html", f"Tune {version}", context)
    response.status_code = 409 if refusal else 200
    return response


def _started(request: HttpRequest, form: TuneForm, version: Any) -> Tune:
    return start_tune(
        document=form.document(version),
        actor=request.user.get_username(),
        clock=wiring.clock(),
        queue=wiring.queue(),
        endpoints=wiring.endpoint_facts(),
        store=wiring.artifact_store(),
        allow_production=form.cleaned_data["allow_production"],
        may_load_production=request.user.has_perm(LOAD_PRODUCTION),
        may_send=may_send_by(request.user),
        reason=form.cleaned_data["reason"].strip(),
    )
