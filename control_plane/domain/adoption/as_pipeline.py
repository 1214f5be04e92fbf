"""An ensemble of somebody else's repository as a pipeline's document, and what does not go into it.

The revisions of pipelines that its steps run are not known before those are made, and labels are in
files that nobody sent: both are left out, for whoever makes the pipeline to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from control_plane.domain.adoption.repository import Directory
from control_plane.domain.adoption.translating import ensemble_document
from control_plane.domain.pipelines.document import Runs
from control_plane.domain.pipelines.ensemble_words import (
    REFUSED_BY_TRITON,
    EnsembleWords,
    read_words,
    refusal,
)
from control_plane.domain.violations import Violation

_READ = frozenset(
    {
        *("name", "platform", "backend", "max_batch_size", "input", "output"),
        *("ensemble_scheduling", "version_policy", "model_transaction_policy"),
        *EnsembleWords.model_fields,
    }
)
_TENSOR = frozenset({"name", "data_type", "dims"})
_LABELS = "label_filename"


@dataclass(frozen=True)
class AsPipeline:
    """The document; with `refused` it is not taken. `pinned` says which version a step gets."""

    document: Mapping[str, Any]
    pinned: tuple[str, ...] = ()
    refused: tuple[Violation, ...] = ()


def as_pipeline(
    directory: Directory,
    known: Mapping[str, Directory],
    names: Mapping[str, str],
    elsewhere: Mapping[str, Runs] = MappingProxyType({}),
) -> AsPipeline:
    """The pipeline that an ensemble is.

    Args:
        known: the repository's directories.
        names: what each is called here.
        elsewhere: members that are here already, by the names that steps have for them.
    """
    config = directory.config or {}
    steps, pinned, refused = [], [], list(_refused(directory))
    for i, step in enumerate((directory.ensemble or {}).get("step", ())):
        where = f"/ensemble_scheduling/step/{i}"
        called = str(step.get("model_name", ""))
        member, here = known.get(called), elsewhere.get(called)
        if member is None and here is None:
            refused.append(Violation(f"{where}/model_name", "not_found", _missing(called)))
            continue
        if step.get("model_namespace"):
            detail = "a member is found by its name: namespaces are not known here"
            refused.append(Violation(f"{where}/model_namespace", "unsupported", detail))
        name = here.name if here else names[called]
        runs, words = _held(step, here) if here else _runs(step, known[called], name)
        pinned += [words] if words else []
        steps.append(
            {
                "name": f"s{i + 1}-{name}"[:63].rstrip("-_"),
                **runs,
                "inputs": dict(step.get("input_map", {})),
                "outputs": dict(step.get("output_map", {})),
            }
        )
    document: dict[str, Any] = {
        "description": f"Imported with the ensemble {directory.name}"[:500],
        "inputs": [str(t.get("name")) for t in config.get("input", ())],
        "outputs": [str(t.get("name")) for t in config.get("output", ())],
        "steps": steps,
    }
    if said := ensemble_document(config):
        document["config"] = said
        files: dict[str, list[str]] = {one[_LABELS]: [] for one in said.get("output", ())}
        read_words({**said, "label_files": files}, "", refused)
    return AsPipeline(document, tuple(pinned), tuple(refused))


def _missing(name: str) -> str:
    return (
        f"the member {name[:200]!r} is not in this repository; where it is here already, say as "
        f"what (--member {name[:200]}=MODEL:VERSION)"
    )


def _held(step: Mapping[str, Any], here: Runs) -> tuple[dict[str, Any], str]:
    """A step whose member is here already, and what it is pinned to."""
    number = int(step.get("model_version", -1))
    asked = f", which asks for version {number}," if number > 0 else ""
    words = f"the step of {step.get('model_name')}{asked} is pinned to {here}"
    return {"pipeline" if here.pipeline else "model": here.name, here.field: here.number}, words


def _runs(step: Mapping[str, Any], member: Directory, name: str) -> tuple[dict[str, Any], str]:
    """What a step runs; -1 is the newest that Triton serves, which it is pinned to here."""
    if member.ensemble is not None:
        return {"pipeline": name}, ""
    number = int(step.get("model_version", -1))
    if number > 0:
        return {"model": name, "version": number}, ""
    served, _ = member.served
    newest = max(served, default=1)
    words = f"the step of {member.name} is pinned to its newest version, {newest}"
    return {"model": name, "version": newest}, words


def _refused(directory: Directory) -> Iterator[Violation]:
    config = directory.config or {}
    for key in sorted(config.keys() - _READ):
        detail = f"a pipeline has no place for {key}"
        detail = refusal(key) if key in REFUSED_BY_TRITON else detail
        yield Violation(f"/{key}", "not_kept", detail)
    for side in ("input", "output"):
        for i, tensor in enumerate(config.get(side, ())):
            labels = tensor.get(_LABELS) if side == "output" else None
            if labels and labels not in directory.files:
                detail = f"it names the file {labels}, which is not there"
                yield Violation(f"/output/{i}/{_LABELS}", "missing_file", detail)
            for key in sorted(tensor.keys() - _TENSOR - ({_LABELS} if labels else set())):
                detail = f"a pipeline's tensors are its steps': there is no place for {key}"
                yield Violation(f"/{side}/{i}/{key}", "not_kept", detail)
