"""What the policy's form offers to choose from: what can serve, and outputs to compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from control_plane.console.policy_rows import VERSION
from control_plane.domain.registry.metrics import labelled
from control_plane.registry.models import ModelVersion, VersionState
from control_plane.registry.pipelines import (
    KnownPipeline,
    all_known,
    newest_revisions,
    pipeline_revisions,
)

CHOICES = 500
"""Versions offered beside those the policy uses; a select with more is no help to anybody."""


@dataclass(frozen=True)
class Choice:
    """What an arm can be, with the outputs that a shadow of it can be compared by."""

    value: str
    label: str
    model: str
    outputs: tuple[str, ...] = ()


def version_choices(used: Iterable[str]) -> list[Choice]:
    """Ready versions and pipelines, newest first by name; those in use are always among them."""
    ready = ModelVersion.objects.filter(state=VersionState.READY).select_related("model")
    newest = list(ready.order_by("-created_at")[:CHOICES])
    offered = {f"{version.model.name}:{version.number}": version for version in newest}
    missing = {value for value in used if VERSION.fullmatch(value)} - offered.keys()
    choices = [_choice(value, version) for value, version in offered.items()]
    choices += (pipelines := _pipeline_choices(missing))
    missing -= {choice.value for choice in pipelines}
    choices += [Choice(value, f"{value} (not ready)", value.partition(":")[0]) for value in missing]
    return sorted(choices, key=lambda c: (c.model, -int(c.value.partition(":")[2])))


def _pipeline_choices(used: Iterable[str]) -> list[Choice]:
    """Each pipeline's newest revision, and those in use."""
    named = {(name, int(number)) for name, _, number in (one.partition(":") for one in used)}
    rows = {row.pk: row for row in newest_revisions()[:CHOICES]}
    rows |= {row.pk: row for row in pipeline_revisions(named).values()}
    return [_pipeline_choice(known) for known in all_known(rows.values())]


def _pipeline_choice(known: KnownPipeline) -> Choice:
    name, number = known.revision.pipeline.name, known.revision.number
    outputs = known.wiring.signature.outputs if known.wiring else ()
    broken = " (cannot be served)" if known.error else ""
    return Choice(
        f"{name}:{number}",
        f"{name} r{number}, a pipeline{broken}",
        name,
        tuple(tensor.name for tensor in outputs if tensor.datatype != "BYTES"),
    )


def outputs_to_compare(choices: Iterable[Choice], used: Iterable[str]) -> list[str]:
    """Outputs made of numbers: those of the versions in use, else of all there are."""
    listed = list(choices)
    wanted = set(used)
    chosen = [choice for choice in listed if choice.value in wanted] or listed
    return sorted({name for choice in chosen for name in choice.outputs})


def _choice(value: str, version: ModelVersion) -> Choice:
    # In a select there is room for the two that come first by name.
    metrics = ", ".join(
        f"{name} {figure:.4g}" for name, figure in list(labelled(version.metrics).items())[:2]
    )
    label = f"{version.model.name} v{version.number}"
    tensors = (version.signature or {}).get("outputs", [])
    return Choice(
        value,
        f"{label} ({metrics})" if metrics else label,
        version.model.name,
        tuple(tensor["name"] for tensor in tensors if tensor["datatype"] != "BYTES"),
    )
