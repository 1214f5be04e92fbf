"""Trying an endpoint from its page: a real request, sent by the console to a server of the fleet.

Whoever sends one needs the right to change the endpoint: it is traffic like any other, and the
console stands where its caller may not. The address is one that a node registered, the path is the
endpoint's own, headers are those that reach the router, and size, time and number are bounded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.tensor_values import ValueRefusedError, nested, values_of
from control_plane.console.try_draft import FILLS, TryDraft
from control_plane.domain.registry.golden import GoldenExample, parse_golden
from control_plane.domain.signature import Signature
from control_plane.domain.violations import InvalidInputError
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import server_status
from control_plane.ports.inference import InferenceRefusedError, NoAnswerError, TensorData
from control_plane.ports.repository import ArtifactDamagedError, ArtifactMissingError
from control_plane.registry.contents import golden_examples
from control_plane.registry.models import ModelVersion
from control_plane.registry.pipelines import all_known, pipeline_revisions

logger = logging.getLogger(__name__)

AT_ONCE = 3
"""Requests on their way from one process: each holds one of its threads while a model thinks."""

MOST_GOLDEN = 1 << 20
"""Bytes of examples that are read to show one of them, at each look at the page."""

SHOWN_VALUES = 256
MOST_BARS = 32

_room = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class ShownOutput:
    """An output as the page shows it; `bars` are (place, value, percent of the largest)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    text: str
    cut: bool
    bars: list[tuple[int, str, float]]


@dataclass(frozen=True)
class Result:
    """What came of it: an answer, or an error in Triton's words."""

    elapsed_ms: float | None = None
    arm: str = ""
    arm_name: str = ""
    version: ModelVersion | None = None
    outputs: tuple[ShownOutput, ...] = ()
    status: int | None = None
    error: str = ""


def try_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET shows the form; POST sends the request, and answers htmx with the result alone."""
    context = try_context(endpoint)
    if request.method == "POST" and context["signature"]:
        posted = {key: str(value) for key, value in request.POST.items()}
        draft = TryDraft.from_post(context["signature"], posted)
        context |= {"draft": draft, "result": _send(endpoint, draft, context)}
    if request.headers.get("HX-Request"):
        response = render(request, "console/parts/try_result.html", context)
        response["Cache-Control"] = "no-store"
        return response
    context |= {"original": endpoint, "back": change_url(endpoint)}
    return pages.page(request, "console/try.html", "Try it", context)


def try_context(endpoint: Endpoint) -> dict[str, Any]:
    """What the form needs: the inputs, the versions that can be asked, the servers that answer."""
    arms = [_keyed(arm) for arm in (endpoint.policy or {}).get("arms", [])]
    versions = {
        (version.model.name, version.number): version
        for version in ModelVersion.objects.select_related("model", "golden").filter(
            model__name__in={arm["model"] for arm in arms},
            number__in={arm["version"] for arm in arms},
        )
    }
    served = [versions.get((arm["model"], arm["version"])) for arm in arms]
    signature = next((v.signature for v in served if v is not None and v.signature), None)
    parsed = Signature.from_document(signature) if signature else _of_a_pipeline(arms)
    return {
        "endpoint": endpoint,
        "signature": parsed,
        "draft": TryDraft.of(parsed, _example(served, parsed)) if parsed else None,
        "fills": FILLS,
        "askable": [
            arm for arm in arms if arm.get("pipeline") or (arm["model"], arm["version"]) in versions
        ],
        "versions": versions,
        "servers": _answering(endpoint),
        "result": None,
    }


def _keyed(arm: Mapping[str, Any]) -> dict[str, Any]:
    """An arm with the name and number of what it serves; a pipeline's are no model's."""
    if not arm.get("pipeline"):
        return dict(arm)
    return {**arm, "model": arm["pipeline"], "version": arm["revision"]}


def _of_a_pipeline(arms: Sequence[Mapping[str, Any]]) -> Signature | None:
    """What callers send to the pipelines among the arms, where one can still be served."""
    wanted = [(arm["model"], arm["version"]) for arm in arms if arm.get("pipeline")]
    found = all_known(pipeline_revisions(wanted).values())
    return next((one.wiring.signature for one in found if one.wiring), None)


def _example(served: Sequence[ModelVersion | None], signature: Signature) -> GoldenExample | None:
    """The first golden example of a version that answers, where one has any."""
    version = next((v for v in served if v is not None and v.golden_id), None)
    if version is None or version.golden is None or version.golden.size > MOST_GOLDEN:
        return None
    try:
        found = golden_examples(version, wiring.artifact_store())
        return parse_golden(list(found), signature)[0]
    except (
        *(ArtifactMissingError, ArtifactDamagedError, OSError),
        *(InvalidInputError, ValueError, IndexError),
    ):
        logger.warning("the golden examples of %s cannot be read", version, exc_info=True)
        return None


def _answering(endpoint: Endpoint) -> list[Server]:
    """Servers that are up and were switched to a revision of this endpoint."""
    now = wiring.clock().now()
    placed = Server.objects.filter(placements__endpoint=endpoint, placements__switched__gt=0)
    return [server for server in placed if server_status(server, now)[0] != "Unknown"]


def _send(endpoint: Endpoint, draft: TryDraft, context: dict[str, Any]) -> Result | None:
    tensors = draft.tensors()
    headers = draft.read_headers(settings.NEREID_FORWARDED_HEADERS)
    parameters = draft.read_parameters()
    servers: list[Server] = context["servers"]
    server = next((s for s in servers if s.name == draft.server), servers[0] if servers else None)
    if server is None:
        draft.errors.append("no server that serves this endpoint answers at the moment")
    numbers = {arm["version"] for arm in context["askable"]}
    if draft.version is not None and draft.version not in numbers:
        draft.errors.append(f"version {draft.version} is none of this endpoint's")
    if draft.wrong or server is None:
        return None
    if not _room.acquire(blocking=False):
        draft.errors.append(f"{AT_ONCE} requests are on their way from here already: wait a moment")
        return None
    try:
        answer = wiring.inference_of(server.http).infer(
            endpoint.name, tensors, version=draft.version, headers=headers, parameters=parameters
        )
    except InferenceRefusedError as refusal:
        return Result(status=refusal.status, error=str(refusal))
    except NoAnswerError as nothing:
        return Result(error=str(nothing))
    finally:
        _room.release()
    return Result(
        elapsed_ms=1000 * answer.elapsed_s,
        arm=answer.arm,
        **_whose(answer.arm, context),
        outputs=tuple(shown(output) for output in answer.outputs),
    )


def _whose(physical: str, context: dict[str, Any]) -> dict[str, Any]:
    """The arm of the policy and the version behind a physical name, `<model>.v<n>.<digest>`."""
    stem = physical.rpartition(".")[0]
    for arm in context["askable"]:
        if stem == f"{arm['model']}.v{arm['version']}":
            key = arm["model"], arm["version"]
            return {"arm_name": arm["name"], "version": context["versions"].get(key)}
    return {}


def shown(tensor: TensorData) -> ShownOutput:
    """An output's first values as text, and as bars where it is one short row of numbers."""
    try:
        values = values_of(tensor, SHOWN_VALUES)
    except ValueRefusedError as refusal:
        return ShownOutput(tensor.name, tensor.datatype, tensor.shape, str(refusal), False, [])
    count = 1
    for dim in tensor.shape:
        count *= dim
    short = [float(f"{v:.6g}") if isinstance(v, float) else v for v in values]
    cut = count > len(values)
    text = nested(short, tensor.shape) if not cut else nested(short, (len(short),))
    row = tensor.shape[-1] if tensor.shape else 0
    numbers = tensor.datatype not in ("BYTES", "BOOL")
    bars = _bars(values) if numbers and not cut and count == row and 2 <= row <= MOST_BARS else []
    return ShownOutput(tensor.name, tensor.datatype, tensor.shape, text, cut, bars)


def _bars(values: list[float]) -> list[tuple[int, str, float]]:
    """The length is the place between the lowest value, or zero, and the highest."""
    finite = [v for v in values if v == v and abs(v) != float("inf")]
    if len(finite) != len(values):
        return []
    low, high = min(0.0, *finite), max(0.0, *finite)
    if high == low:
        return []
    return [(i, f"{v:.4g}", round(100 * (v - low) / (high - low), 1)) for i, v in enumerate(values)]
