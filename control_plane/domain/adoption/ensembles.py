"""What in an ensemble does not fit its members: Triton says it late, and this early."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from control_plane.domain.adoption.repository import Directory
from control_plane.domain.findings import Finding
from control_plane.domain.pipelines.ensemble_words import REFUSED_BY_TRITON, refusal

Config = Mapping[str, Any]
Found = Iterator[tuple[str, Finding]]


def lint_ensembles(
    directories: Sequence[Directory],
    rows: Mapping[str, int],
    elsewhere: Collection[str] = (),
) -> Found:
    """What is found in the ensembles of a repository, each with its directory's name.

    Args:
        rows: by directory, the most that a batch holds, where that is known.
        elsewhere: names of members that are none of the repository's, and known all the same.
    """
    known = {one.name: one for one in directories}
    for directory in directories:
        if directory.ensemble is None:
            continue
        steps = directory.ensemble.get("step", ())
        if not steps:
            finding = _error("no-steps", "an ensemble has at least one step", "")
            yield directory.name, finding
        for finding in _own(directory):
            yield directory.name, finding
        for i, step in enumerate(steps):
            if str(step.get("model_name", "")) in elsewhere:
                continue
            for finding in _step(directory, step, known, rows, f"/ensemble_scheduling/step/{i}"):
                yield directory.name, finding
        for finding in _flow(directory, steps):
            yield directory.name, finding
    for name in _circle(directories):
        detail = "it is a member of itself, by itself or by way of its members"
        yield name, _error("ensemble-cycle", detail, "/ensemble_scheduling/step")


def _own(directory: Directory) -> Iterator[Finding]:
    """What an ensemble says of itself: words that Triton refuses, and labels that are not there."""
    config = directory.config or {}
    for key in REFUSED_BY_TRITON:
        if config.get(key):
            yield _error("ensemble-setting", refusal(key), f"/{key}")
    for i, tensor in enumerate(config.get("output", ())):
        name = tensor.get("label_filename")
        if name and not directory.alone and name not in directory.files:
            detail = f"it names the file {name}, which is not there"
            yield _error("missing-labels", detail, f"/output/{i}/label_filename")


def _step(
    ensemble: Directory,
    step: Config,
    known: Mapping[str, Directory],
    most: Mapping[str, int],
    where: str,
) -> Iterator[Finding]:
    name = str(step.get("model_name", ""))
    member = known.get(name)
    if member is None:
        detail = f"the member {name!r} is no model of this repository"
        yield _error("unknown-member", detail, f"{where}/model_name")
        return
    number = int(step.get("model_version", -1))
    if number > 0 and number not in member.versions:
        detail = f"{name} has no version {number}, which the step names"
        yield _error("unknown-member", detail, f"{where}/model_version")
    config = member.config or {}
    rows, theirs = _rows(ensemble.config or {}), most.get(name, _rows(config))
    if rows > theirs and (name in most or member.ensemble is not None):
        detail = (
            f"the ensemble takes batches of {rows} rows, and its member {name} "
            + (f"of {theirs}" if theirs else "none (its max_batch_size is 0)")
            + ": Triton refuses the ensemble"
        )
        yield Finding(
            "error",
            "ensemble-batch",
            detail,
            "/max_batch_size",
            f"lower the ensemble's max_batch_size to {theirs}, or raise the member's",
        )
    yield from _maps(step, config, name, where)


def _maps(step: Config, config: Config, name: str, where: str) -> Iterator[Finding]:
    """The step's tensors against those that its member says it has."""
    for side, mapped in (("input", "input_map"), ("output", "output_map")):
        tensors = {str(t.get("name")): t for t in config.get(side, ())}
        given = step.get(mapped, {})
        if not tensors:
            continue
        for tensor in sorted(set(given) - set(tensors)):
            detail = f"{name} has no {side} {tensor!r}; it has {', '.join(sorted(tensors))}"
            yield _error("ensemble-tensor", detail, f"{where}/{mapped}/{tensor}")
        if side == "input":
            needed = {key for key, t in tensors.items() if not t.get("optional")}
            for tensor in sorted(needed - set(given)):
                detail = f"nothing is given to {name}'s input {tensor!r}"
                yield _error("ensemble-tensor", detail, f"{where}/{mapped}")


def _flow(ensemble: Directory, steps: Sequence[Config]) -> Iterator[Finding]:
    """Tensors that nobody makes, that two make, and that nobody reads."""
    config = ensemble.config or {}
    given = {str(t.get("name")) for t in config.get("input", ())}
    wanted = {str(t.get("name")) for t in config.get("output", ())}
    made: set[str] = set(given)
    read: set[str] = set(wanted)
    for i, step in enumerate(steps):
        for tensor in step.get("output_map", {}).values():
            if tensor in made:
                detail = f"the tensor {tensor!r} is made twice"
                yield _error("ensemble-tensor", detail, f"/ensemble_scheduling/step/{i}/output_map")
            made.add(tensor)
        read |= set(step.get("input_map", {}).values())
    for tensor in sorted(read - made):
        detail = f"the tensor {tensor!r} is wanted, and neither an input nor made by a step"
        yield _error("ensemble-tensor", detail, "/ensemble_scheduling")
    for tensor in sorted(made - read):
        detail = f"the tensor {tensor!r} is read by nobody"
        fix = "leave it out of the step's output_map: it is computed and copied for nothing"
        yield Finding("info", "ensemble-unused", detail, "/ensemble_scheduling", fix)


def _circle(directories: Sequence[Directory]) -> list[str]:
    """The directories of one circle of ensembles; empty where there is none."""
    members = {
        one.name: {str(step.get("model_name", "")) for step in one.ensemble.get("step", ())}
        for one in directories
        if one.ensemble is not None
    }
    try:
        TopologicalSorter(members).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def _rows(config: Config) -> int:
    return int(config.get("max_batch_size", 0))


def _error(code: str, detail: str, where: str) -> Finding:
    fixes = {
        "unknown-member": "add the model, or name one that is there",
        "ensemble-tensor": "mend the maps: each tensor is made once and has its member's name",
        "ensemble-cycle": "take the step out",
        "no-steps": "add a step to ensemble_scheduling",
        "ensemble-setting": "take it out of the ensemble's configuration",
        "missing-labels": "add the file beside the versions' folders, one label a line",
    }
    return Finding("error", code, detail, where, fixes[code])
