"""An ensemble of somebody else's repository as a pipeline's document, and what does not go into it.

The revisions of pipelines that its steps run are not known before those are made: they are left
out, for whoever makes them to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.domain.adoption.repository import Directory
from control_plane.domain.adoption.translating import ensemble_document
from control_plane.domain.pipelines.ensemble_words import EnsembleWords, read_words
from control_plane.domain.violations import Violation

_READ = frozenset(
    {
        *("name", "platform", "backend", "max_batch_size", "input", "output"),
        *("ensemble_scheduling", "version_policy", "model_transaction_policy"),
        *EnsembleWords.model_fields,
    }
)
_TENSOR = frozenset({"name", "data_type", "dims"})


@dataclass(frozen=True)
class AsPipeline:
    """The document; with `refused` it is not taken. `pinned` says which version a step gets."""

    document: Mapping[str, Any]
    pinned: tuple[str, ...] = ()
    refused: tuple[Violation, ...] = ()


def as_pipeline(
    directory: Directory, known: Mapping[str, Directory], names: Mapping[str, str]
) -> AsPipeline:
    """The pipeline that an ensemble is.

    Args:
        known: the repository's directories.
        names: what each is called here.
    """
    config = directory.config or {}
    steps, pinned, refused = [], [], list(_refused(config))
    for i, step in enumerate((directory.ensemble or {}).get("step", ())):
        where = f"/ensemble_scheduling/step/{i}"
        member = known.get(str(step.get("model_name", "")))
        if member is None:
            detail = f"the member {step.get('model_name')!r} is not in this repository"
            refused.append(Violation(f"{where}/model_name", "not_found", detail))
            continue
        if step.get("model_namespace"):
            detail = "a member is found by its name: namespaces are not known here"
            refused.append(Violation(f"{where}/model_namespace", "unsupported", detail))
        name = names[member.name]
        runs, words = _runs(step, member, name)
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
        read_words(said, "", refused)
    return AsPipeline(document, tuple(pinned), tuple(refused))


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


def _refused(config: Mapping[str, Any]) -> Iterator[Violation]:
    for key in sorted(config.keys() - _READ):
        yield Violation(f"/{key}", "not_kept", f"a pipeline has no place for {key}")
    for side in ("input", "output"):
        for i, tensor in enumerate(config.get(side, ())):
            for key in sorted(tensor.keys() - _TENSOR):
                detail = f"a pipeline's tensors are its steps': there is no place for {key}"
                yield Violation(f"/{side}/{i}/{key}", "not_kept", detail)
