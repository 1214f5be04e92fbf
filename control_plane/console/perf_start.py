"""The form that asks for a perf run, on the page of a version, a pipeline or an endpoint."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.perf.request import QUANTILES, TargetKind
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.fleet.models import Server
from control_plane.tuning.models import PerfRun
from control_plane.tuning.recordings import may_send_by, ready_recordings
from control_plane.tuning.services import LOAD_PRODUCTION, start_perf_run

LOADS = (
    ("concurrency", "concurrent callers"),
    ("constant", "requests/s, evenly apart"),
    ("poisson", "requests/s, Poisson"),
)
INPUTS = (
    ("", "golden, else random"),
    ("golden", "golden examples"),
    ("random", "random values"),
    ("zero", "zeros"),
)


class PerfForm(forms.Form):
    """What a run asks for; what its words mean is `domain.perf.read_request`'s."""

    server = forms.ChoiceField()
    load = forms.ChoiceField(
        choices=LOADS, initial="concurrency", help_text="a caller waits for its answer"
    )
    levels = forms.CharField(
        initial="1, 2, 4, 8", max_length=200, help_text="1, 2, 4 or from-to:step: 1-16:4"
    )
    search = forms.BooleanField(
        required=False, label="Look for the most load within the limit (levels: from-to)"
    )
    latency_limit = forms.CharField(
        required=False, max_length=20, label="latency limit", help_text="such as 20ms; empty: none"
    )
    percentile = forms.TypedChoiceField(
        coerce=int, choices=[(p, f"p{p}") for p in QUANTILES], initial=99, label="percentile"
    )
    window = forms.CharField(initial="2s", max_length=20, help_text="a third of a level's time")
    protocol = forms.ChoiceField(choices=[("grpc", "gRPC"), ("http", "HTTP")])
    input = forms.ChoiceField(
        required=False,
        choices=INPUTS,
        help_text="recordings of an endpoint are here for whoever may record it",
    )
    shapes = forms.CharField(
        required=False, max_length=500, help_text="of inputs that vary: ids:128 mask:128"
    )
    batch = forms.IntegerField(initial=1, min_value=1, help_text="rows in a request")
    allow_production = forms.BooleanField(
        required=False, label="It may be a server that is not marked as a lab"
    )
    reason = forms.CharField(required=False, max_length=500, label="why")

    def __init__(self, user: Any, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["input"].choices = offered_inputs(user)  # type: ignore[attr-defined]
        servers = Server.objects.order_by("-lab", "name")
        choices = [(one.name, f"{one.name}, a lab" if one.lab else one.name) for one in servers]
        self.fields["server"].choices = choices  # type: ignore[attr-defined]

    def document(self, target: dict[str, Any]) -> dict[str, Any]:
        """The request as the service reads it.

        Raises:
            ValidationError: levels or shapes cannot be read.
        """
        said = self.cleaned_data
        kind = "concurrency" if said["load"] == "concurrency" else "request_rate"
        document = {
            "target": target,
            "server": said["server"],
            kind: _levels(said["levels"], said["search"]),
            "latency_limit": said["latency_limit"].strip() or None,
            "percentile": said["percentile"],
            "window": said["window"].strip(),
            "protocol": said["protocol"],
            "input": said["input"] or None,
            "batch": said["batch"],
        }
        if kind == "request_rate":
            document["distribution"] = said["load"]
        if said["shapes"].strip():
            document["shapes"] = dict(_shape(one) for one in said["shapes"].split())
        return document


def measure_page(
    pages: RecordAdmin, request: HttpRequest, record: Any, target: dict[str, Any], named: str = ""
) -> HttpResponse:
    """GET shows the form; POST starts the run and leads to it.

    Args:
        named: what is measured, where the record's own name does not say it.
    """
    form = PerfForm(request.user, request.POST or None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            run = _started(request, form, target)
            pages.message_user(request, f"Perf run {run.pk} is {run.state}.", messages.SUCCESS)
            return HttpResponseRedirect(change_url(run))
        except forms.ValidationError as error:
            form.add_error(None, error)
        except InvalidInputError as error:
            _show(form, error)
        except (ConflictError, NotAllowedError, NotFoundError) as error:
            refusal = str(error)
    context = {
        "original": record,
        "form": form,
        "error": refusal,
        "named": named or str(record),
        "loads": TargetKind.ENDPOINT.value not in target,
        "may_load_production": request.user.has_perm(LOAD_PRODUCTION),
        "labs": Server.objects.filter(lab=True).exists(),
        "servers": Server.objects.exists(),
        "back": change_url(record),
    }
    response = pages.page(request, "console/perf_start.html", f"Measure {named or record}", context)
    response.status_code = 409 if refusal else 200
    return response


def offered_inputs(user: Any) -> list[tuple[str, str]]:
    """What may be sent, as choices: made inputs, and the recordings that the person may send."""
    recorded = (
        (f"recording:{row.name}", f"recording {row.name}, {row.requests:,} requests")
        for row in ready_recordings(may_send_by(user))
    )
    return [*INPUTS, *recorded]


def version_target(version: Any) -> dict[str, Any]:
    """What a version's page measures."""
    return {"model": version.model.name, "version": version.number}


def pipeline_target(revision: Any) -> dict[str, Any]:
    """What a pipeline's page measures: one of its revisions."""
    return {TargetKind.PIPELINE.value: revision.pipeline.name, "revision": revision.number}


def endpoint_target(endpoint: Any) -> dict[str, Any]:
    """What an endpoint's page measures."""
    return {TargetKind.ENDPOINT.value: endpoint.name}


def _started(request: HttpRequest, form: PerfForm, target: dict[str, Any]) -> PerfRun:
    return start_perf_run(
        document=form.document(target),
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


def _show(form: PerfForm, refusal: InvalidInputError) -> None:
    """Each violation at the field that it is about."""
    for violation in refusal.violations:
        name = violation.pointer.strip("/").partition("/")[0]
        name = "levels" if name in ("concurrency", "request_rate") else name
        form.add_error(name if name in form.fields else None, violation.detail)


def _levels(text: str, search: bool) -> Any:
    span, _, step = text.strip().partition(":")
    low, dash, high = span.partition("-")
    if not dash:
        return [_number(part) for part in text.split(",") if part.strip()]
    found: dict[str, Any] = {"from": _number(low), "to": _number(high)}
    found |= {"step": _number(step)} if step else {}
    return found | ({"search": True} if search else {})


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        said = f"{text.strip()[:40]!r}: levels are 1, 2, 4, 8 or 1-16:4"
        raise forms.ValidationError({"levels": said}) from None
    whole = value == value and abs(value) < 1e15 and value == int(value)
    return int(value) if whole else value


def _shape(text: str) -> tuple[str, list[int]]:
    name, _, sizes = text.rpartition(":")
    try:
        return name, [int(size) for size in sizes.split(",")]
    except ValueError:
        said = f"{text[:40]!r}: a shape is a name and its sizes, tokens:1,128"
        raise forms.ValidationError({"shapes": said}) from None
