"""Bring up the sample model through the public API, the way any user would.

Idempotent: what is there already is left alone, above all a policy that a person changed.
"""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from nereid import Client, NereidError, policy_document
from nereid.drawing import prediction_card
from nereid.inference import Answer, Predictor, arm_title
from nereid.resources import Endpoint, Version
from nereid.samples import Sample, load_sample
from nereid.upload import sha256_of
from nereid.waiting import wait_for

NAME = "digits"
DESCRIPTION = "Handwritten digits, 8 by 8 pixels: the sample that comes with Nereid"
VERSIONS = (1, 2)
CHECKOUT = Path(__file__).resolve().parent.parent
SHOWN_IMAGE = 0  # one that both versions get right: the answer is checked
DEADLINE_S = 120.0
# What was Degraded when the stack stopped says so until the first look at its servers.
PATIENCE_S = 20.0


class SampleFailedError(NereidError):
    """The sample is not served as it should be."""


@dataclass(frozen=True)
class SampleResult:
    """One real prediction through the routed endpoint."""

    sample: Sample
    endpoint: Endpoint
    answer: Answer
    predicted: int
    truth: int
    address: str

    @property
    def arm(self) -> str:
        return arm_title(self.answer.arm or "")

    def render(self) -> RenderableType:
        latency = self.answer.latency_s * 1000
        return prediction_card(
            title=f"One real prediction, through the endpoint {NAME}",
            pixels=self.sample.image(SHOWN_IMAGE).pixels,
            classes=self.sample.classes,
            scores=self.answer.outputs[self.sample.output].reshape(-1),
            truth=self.truth,
            arm=self.arm,
            physical=self.answer.arm,
            how=f"gRPC {self.address} · {latency:.1f} ms",
        )


def run_sample(api: str, token: str, grpc: str, console: Console) -> SampleResult:
    sample = load_sample(NAME, CHECKOUT)
    with Client(api, token) as client:
        client.ensure_model(NAME, DESCRIPTION)
        versions = _push_missing(client, sample, console)
        _ensure_policy(client, versions[VERSIONS[0]])
        endpoint = _wait_healthy(client, console)
    return _predict(sample, endpoint, versions, grpc)


def _push_missing(client: Client, sample: Sample, console: Console) -> dict[int, Version]:
    """Upload the committed files that the registry lacks; by digest, so a retrained file is a
    new version and an interrupted first start is completed by the next."""
    known = {
        version.sha256: version
        for version in client.versions(NAME)
        if version.state in {"ready", "validating"}
    }
    found: dict[int, Version] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for number in VERSIONS:
            folder = sample.folder / f"v{number}"
            file = folder / "model.onnx"
            version = known.get(sha256_of(file))
            if version is None:
                task = progress.add_task(f"push {NAME} v{number}", total=file.stat().st_size)
                version = client.push(
                    NAME,
                    file,
                    metrics=_figures(folder / "metrics.json"),
                    provenance={"script": "model_repository/samples/digits/train.py"},
                    on_bytes=functools.partial(_advance, progress, task),
                )
            version = client.wait_version_ready(NAME, version.number, timeout=DEADLINE_S)
            if version.state != "ready":
                raise SampleFailedError(
                    f"{NAME}:{version.number} is {version.state}: {version.state_reason}"
                )
            found[number] = version
    return found


def _advance(progress: Progress, task: TaskID, sent: int, total: int) -> None:
    progress.update(task, completed=sent, total=total)


def _figures(path: Path) -> dict[str, float]:
    document = json.loads(path.read_text())
    return {name: value for name, value in document.items() if isinstance(value, int | float)}


def _ensure_policy(client: Client, version: Version) -> None:
    client.ensure_endpoint(NAME, DESCRIPTION)
    standing = client.policy(NAME)
    if standing.empty:
        policy = policy_document([f"{NAME}:{version.number}=100"])
        client.put_policy(NAME, policy, etag=standing.etag)


def _wait_healthy(client: Client, console: Console) -> Endpoint:
    degraded_since: float | None = None

    def settled(seen: Endpoint) -> bool:
        nonlocal degraded_since
        if seen.status != "Degraded":
            degraded_since = None
            return seen.status == "Healthy" and seen.settled(seen.generation)
        degraded_since = degraded_since or time.monotonic()
        return time.monotonic() - degraded_since > PATIENCE_S

    with console.status(f"endpoint {NAME}") as status:
        endpoint = wait_for(
            lambda: client.endpoint(NAME),
            settled,
            DEADLINE_S,
            lambda seen: status.update(
                Text.assemble(f"endpoint {NAME}: {seen.status} ", (seen.reason, "dim"))
            ),
        )
    if endpoint.status != "Healthy":
        trouble = f"endpoint {NAME} is {endpoint.status}: {endpoint.reason}"
        parts = endpoint.raw.get("servers") or ()
        # A server of before that did not start again is no reason to ask no other.
        if not any(part.get("status") == "Serving" for part in parts):
            raise SampleFailedError(trouble)
        console.print(Text(trouble, style="yellow"))
    return endpoint


def _predict(
    sample: Sample, endpoint: Endpoint, versions: dict[int, Version], grpc: str
) -> SampleResult:
    """Readiness is a right answer: a server can be up, say so, and return empty tensors."""
    image = sample.image(SHOWN_IMAGE)
    with Predictor(grpc, "grpc") as predictor:
        predictor.predict(NAME, sample.batch(SHOWN_IMAGE))  # the first call pays for connecting
        answer = predictor.predict(NAME, sample.batch(SHOWN_IMAGE))
    logits = answer.outputs.get(sample.output)
    if logits is None or logits.size != len(sample.classes) or not np.isfinite(logits).all():
        raise SampleFailedError(f"endpoint {NAME} answered without usable {sample.output}")
    predicted = int(logits.reshape(-1).argmax())
    if predicted != image.label and _is_ours(endpoint, answer, versions):
        raise SampleFailedError(
            f"endpoint {NAME} says {predicted} to a picture of a {image.label}: "
            f"{answer.arm or 'no arm'} is not serving what was uploaded"
        )
    return SampleResult(sample, endpoint, answer, predicted, image.label, grpc)


def _is_ours(endpoint: Endpoint, answer: Answer, versions: dict[int, Version]) -> bool:
    """Whether one of the committed versions answered: of a person's own, no answer is owed."""
    numbers = {version.number for version in versions.values()}
    return any(
        arm.physical == answer.arm and arm.model == NAME and arm.version in numbers
        for arm in endpoint.arms
    )
