"""The linter of whole repositories: what Triton refuses at the start, or takes and fails at later.

What stands here needs more than one configuration: the folders and files beside it, and the other
models that an ensemble names. Each finding is explained in docs/lint.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from control_plane.domain.adoption.ensembles import lint_ensembles
from control_plane.domain.adoption.reading import ENSEMBLE, Reading
from control_plane.domain.adoption.repository import Directory
from control_plane.domain.findings import Finding
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.violations import Violation

_LISTED = 5

_CODES = {
    ("/dynamic_batching/preferred_batch_size", "range"): "preferred-above-max",
    ("/sequence_batching/oldest/preferred_batch_size", "range"): "preferred-above-max",
    ("/response_cache/enable", "exclusive"): "cache-impossible",
    ("/model_warmup", "missing_file"): "missing-warmup-data",
    ("/output", "missing_file"): "missing-labels",
    ("/backend", "required"): "unknown-backend",
    ("/input", "required"): "tensors-unsaid",
    ("", "not_kept"): "not-kept",
}
"""What a refusal is called as a finding, by the beginning of its place."""

_FIXES = {
    "preferred-above-max": "raise max_batch_size, or leave the size out: Triton refuses the model",
    "cache-impossible": "leave response_cache out: Triton keeps nothing of such models",
    "missing-warmup-data": "put the file into the folder warmup, or warm up with zero_data",
    "missing-labels": "add the file beside the versions' folders, one label a line",
    "unknown-backend": "name the backend in a config.pbtxt",
    "not-kept": "take it out of the configuration, or serve this model by a Triton of its own",
}


@dataclass(frozen=True)
class Promise:
    """What the models are to keep: the p99 in milliseconds; None: nothing."""

    p99_ms: float | None = None


def lint_directory(
    directory: Directory, reading: Reading, promise: Promise, hardware: Hardware
) -> list[Finding]:
    """What is to be found in one model's directory, ensembles' members left out."""
    if directory.problem:
        detail = f"its config.pbtxt cannot be read: {directory.problem}"
        fix = "mend the line that is named; Triton refuses the model, too"
        return [Finding("error", "unreadable-config", detail, "", fix)]
    found = [] if directory.alone else [*_names(directory), *_versions(directory, reading)]
    found += [_of_refusal(violation) for violation in reading.refused]
    found += _code(reading)
    if reading.profile is not None:
        subject = Subject(
            reading.profile,
            reading.signature,
            reading.framework,
            promise.p99_ms,
            warmed=bool(reading.details.model_warmup),
        )
        found += lint(subject, hardware)
    return found


def lint_repository(
    directories: Sequence[Directory],
    read: Mapping[str, tuple[str, Reading]],
    promise: Promise,
    hardware: Hardware,
    elsewhere: Collection[str] = (),
) -> dict[str, list[Finding]]:
    """Every finding, by directory, the worst of each first.

    Args:
        elsewhere: names of ensembles' members that are none of the repository's.
    """
    found = {
        one.name: lint_directory(one, read[one.name][1], promise, hardware) for one in directories
    }
    rows = {
        name: reading.profile.max_batch_size
        for name, (_, reading) in read.items()
        if reading.profile
    }
    for name, finding in lint_ensembles(directories, rows, elsewhere):
        found[name].append(finding)
    order = ("error", "warning", "info")
    return {
        name: sorted(findings, key=lambda finding: order.index(finding.severity))
        for name, findings in found.items()
    }


def _names(directory: Directory) -> Iterator[Finding]:
    said = str((directory.config or {}).get("name", ""))
    if said and said != directory.name:
        yield Finding(
            "error",
            "name-differs",
            f"the configuration is that of {said!r}, and the directory is {directory.name!r}: "
            "Triton refuses it",
            "/name",
            "leave the name out: it is the directory's",
        )


def _versions(directory: Directory, reading: Reading) -> Iterator[Finding]:
    served, absent = directory.served
    if absent:
        yield Finding(
            "error",
            "absent-versions",
            f"version_policy names {_listed(absent)}, and there is no such folder",
            "/version_policy/specific/versions",
            "take them out, or bring the folders back",
        )
    if not directory.versions:
        yield Finding(
            "error",
            "no-versions",
            "there is no folder with a number as its name: Triton has nothing to load",
            "",
            "put the model's files into a folder 1 (an ensemble's stays empty)",
        )
    left = [number for number in sorted(directory.versions) if number not in served]
    if left and served:
        yield Finding(
            "info",
            "versions-not-served",
            f"Triton serves {_listed(served)} of it, and leaves {_listed(left)} out",
            "/version_policy",
            "say version_policy: { all { } } where all of them are called",
        )
    if reading.framework in ("", ENSEMBLE):
        return
    if not reading.needs_file:
        return
    for number in sorted(directory.versions):
        if reading.main_file not in directory.versions[number]:
            yield Finding(
                "error" if number in served else "warning",
                "missing-model-file",
                f"version {number} has no {reading.main_file}, which is what Triton loads",
                "/default_model_filename",
                "add the file, or say its name as default_model_filename",
            )


def _code(reading: Reading) -> Iterator[Finding]:
    """What needs more of a server than its frameworks."""
    details = reading.details
    if details.backend:
        yield Finding(
            "info",
            "custom-backend",
            f"Nereid knows nothing of the backend {details.backend}: a server that has it serves "
            "this model, and no other",
            "/backend",
        )
    if details.model_repository_agents:
        names = ", ".join(agent.name for agent in details.model_repository_agents.agents)
        yield Finding(
            "warning",
            "repository-agents",
            f"it asks the repository agent {names}: it is kept for the export, and no server of "
            "Nereid's is given it",
            "/model_repository_agents",
            "take model_repository_agents out to serve it here",
        )


def _of_refusal(violation: Violation) -> Finding:
    for (where, code), name in _CODES.items():
        if code == violation.code and violation.pointer.startswith(where):
            return Finding("error", name, violation.detail, violation.pointer, _FIXES.get(name, ""))
    return Finding("error", "refused", violation.detail, violation.pointer)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:_LISTED])
    more = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
    return f"{'version' if len(numbers) == 1 else 'versions'} {shown}{more}"
