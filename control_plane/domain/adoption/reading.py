"""What becomes of one model of somebody else's repository: what is kept, changed and refused.

The proof is made, not assumed: what Nereid would write for the model is compared with what stands
there, so that nothing of it can be lost without being named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from control_plane.domain.adoption.comparing import PLATFORMS, Difference, differences
from control_plane.domain.adoption.translating import (
    SERVING,
    details_document,
    profile_document,
    signature_document,
)
from control_plane.domain.planning.model_config import ANY_SERVER, BACKENDS, version_config
from control_plane.domain.registry.frameworks import MAIN_FILES
from control_plane.domain.registry.uploaded_config import ConfigRefusedError, parameters_in
from control_plane.domain.serving.details import NO_DETAILS, Details, read_details
from control_plane.domain.serving.own_profile import read_own_profile
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, read_signature
from control_plane.domain.violations import InvalidInputError, Violation

ENSEMBLE = "ensemble"
"""The framework of what is no model of its own: a pipeline here."""

_ANY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}]}
_ANYTHING = Signature.from_document({**_ANY, "outputs": _ANY["inputs"]})
"""Stands for tensors that the model's file will say."""

_READ = frozenset(
    {
        *SERVING,
        *("name", "platform", "backend", "runtime", "default_model_filename", "input", "output"),
        *("batch_input", "batch_output", "model_warmup", "version_policy", "parameters"),
        *("model_operations", "model_repository_agents", "cc_model_filenames"),
    }
)
"""The words of a configuration that something is made of, or that are refused by themselves."""

_TYPED = frozenset({"onnx"})
"""Frameworks whose files say what the model takes and gives."""

_PAIRED = frozenset({"openvino"})
"""The model's file and one beside it know each other by name."""


@dataclass(frozen=True)
class Note:
    """Something about the configuration that is worth knowing; where, and in words."""

    pointer: str
    detail: str


@dataclass(frozen=True)
class Reading:
    """What a configuration amounts to here. With `refused` it is not taken."""

    framework: str = ""
    main_file: str = ""
    signature: Signature | None = None
    profile: ServingProfile | None = None
    details: Details = NO_DETAILS
    parameters: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[Note, ...] = ()
    refused: tuple[Violation, ...] = ()


def read_config(
    name: str,
    values: Mapping[str, Any] | None,
    files: Sequence[str],
    beside: Sequence[str] | None = (),
) -> Reading:
    """What becomes of a model.

    Args:
        name: of the model here; its profile is called so, too.
        values: its configuration, in protobuf's JSON; None: it has none.
        files: in the folder of one of its versions.
        beside: in its directory, beside the versions; None: nobody knows.
    """
    given = values or {}
    if "ensemble_scheduling" in given or given.get("platform") == ENSEMBLE:
        return Reading(framework=ENSEMBLE)
    found: list[Violation] = []
    framework, backend = _framework(given, files, found)
    if not framework:
        return Reading(refused=tuple(found))
    main_file = _main_file(framework, str(given.get("default_model_filename", "")), files)
    completed = framework in _TYPED and not (given.get("input") and given.get("output"))
    document = profile_document(given, backend, completed=completed)
    signature = _signature(given, framework, completed, found)
    profile = _profile(name, document, found)
    details = _details(given, found)
    parameters = _parameters(given, framework, [*files, *(beside or ())], found)
    found += _unserved(given, details, beside)
    changed: list[Note] = []
    if profile is not None and not found:
        compiled = version_config(
            framework,
            signature or _ANYTHING,
            profile,
            ANY_SERVER,
            parameters=parameters,
            details=details,
        )
        for difference in _told(given, compiled, details, said=signature is not None):
            note = _explained(difference, completed)
            if isinstance(note, Note):
                changed.append(note)
            elif note is not None:
                found.append(note)
    usual = MAIN_FILES[framework]
    if main_file not in usual and "/" in main_file:
        detail = f"{main_file}: the folder has to be called {usual[0].partition('/')[0]}"
        found.append(Violation("/default_model_filename", "unsupported", detail))
    elif main_file not in usual and framework in _PAIRED:
        detail = f"{main_file}: it and the file beside it have to be called {usual[0]}"
        found.append(Violation("/default_model_filename", "unsupported", detail))
    elif main_file not in usual:
        detail = f"the file {main_file} is called {renamed_file(framework, main_file)} here"
        changed.append(Note("/default_model_filename", detail))
    return Reading(
        framework, main_file, signature, profile, details, parameters, tuple(changed), tuple(found)
    )


def renamed_file(framework: str, main_file: str) -> str:
    """What the model's file is called here: one of its framework's usual names.

    >>> renamed_file("pytorch", "program.pt2")
    'model.pt2'
    """
    names = MAIN_FILES[framework]
    end = main_file.rpartition(".")[2]
    return next((name for name in names if name.rpartition(".")[2] == end), names[0])


def _framework(
    values: Mapping[str, Any], files: Sequence[str], found: list[Violation]
) -> tuple[str, str]:
    """The framework and its backend; empty where there is none for it, which is then found."""
    said = str(values.get("backend") or values.get("platform") or "")
    backend = PLATFORMS.get(said, said)
    if not backend:
        # Triton guesses by the file's name, too.
        for framework, names in MAIN_FILES.items():
            if any(name in files for name in names):
                return framework, BACKENDS[framework]
        detail = (
            "there is neither a backend in a config.pbtxt nor a file that tells it; Triton knows "
            + ", ".join(name for names in MAIN_FILES.values() for name in names)
        )
        found.append(Violation("/backend", "required", detail))
        return "", ""
    for framework, name in BACKENDS.items():
        if name == backend:
            return framework, backend
    listed = ", ".join(sorted(set(BACKENDS.values())))
    detail = f"the backend {backend[:80]!r} is none that Nereid serves: {listed}"
    found.append(Violation("/backend", "unsupported", detail))
    return "", ""


def _main_file(framework: str, said: str, files: Sequence[str]) -> str:
    """The model's file by its path in the version's folder; of a folder, the file that it has."""
    names = MAIN_FILES[framework]
    if not said:
        return next((name for name in names if name in files), names[0])
    inside = [f"{said}/{name.partition('/')[2]}" for name in names if "/" in name]
    return next((name for name in inside if name in files or name in names), said)


def _signature(
    values: Mapping[str, Any], framework: str, completed: bool, found: list[Violation]
) -> Signature | None:
    document = signature_document(values)
    if document is None:
        if framework not in _TYPED:
            detail = (
                f"a model of {framework} does not say what it takes and gives: add input and "
                "output to its config.pbtxt (a running Triton prints them: "
                "curl HOST:8000/v2/models/NAME/config)"
            )
            found.append(Violation("/input", "required", detail))
        return None
    try:
        return read_signature(document, "")
    except InvalidInputError as error:
        found += error.violations
        return None


def _profile(
    name: str, document: Mapping[str, Any], found: list[Violation]
) -> ServingProfile | None:
    try:
        return read_own_profile(name, dict(document))
    except InvalidInputError as error:
        found += error.violations
        return None


def _details(values: Mapping[str, Any], found: list[Violation]) -> Details:
    try:
        return read_details(details_document(values), "")
    except InvalidInputError as error:
        found += error.violations
        return NO_DETAILS


def _parameters(
    values: Mapping[str, Any], framework: str, names: Sequence[str], found: list[Violation]
) -> Mapping[str, str]:
    try:
        return parameters_in(values, framework, names)
    except ConfigRefusedError as error:
        found.append(Violation("/parameters", "not_allowed", str(error)))
        return {}


def _unserved(
    values: Mapping[str, Any], details: Details, beside: Sequence[str] | None
) -> Iterator[Violation]:
    """What no server of Nereid is given."""
    for key, what in (
        ("model_operations", "libraries of operators"),
        ("model_repository_agents", "repository agents"),
        ("cc_model_filenames", "files by compute capability"),
    ):
        if values.get(key):
            detail = f"{what} run other code or files than the model's own: no server has them"
            yield Violation(f"/{key}", "unsupported", detail)
    for key in sorted(values.keys() - _READ):
        yield Violation(f"/{key}", "not_kept", f"Nereid has no place for {key}: it cannot be kept")
    for name in details.files:
        if beside is not None and name not in beside:
            where = "/model_warmup" if name.startswith("warmup/") else "/output"
            yield Violation(where, "missing_file", f"it names the file {name}, which is not there")


def _told(
    given: Mapping[str, Any], compiled: Mapping[str, Any], details: Details, *, said: bool
) -> Iterator[Difference]:
    """Where what would be served says something else than what stands there."""
    known = {k: v for k, v in compiled.items() if said or k not in ("input", "output")}
    theirs = {k: v for k, v in given.items() if said or k not in ("input", "output")}
    theirs.setdefault("backend", compiled["backend"])
    theirs.pop("default_model_filename", None)
    # It is kept with the version, and compiled for no server.
    if details.version_policy:
        known["version_policy"] = details.version_policy.model_dump(exclude_none=True)
    yield from differences(theirs, known)


def _explained(difference: Difference, completed: bool) -> Note | Violation | None:
    """Why there is a difference; what nobody can explain is refused."""
    where = difference.pointer
    if where == "/default_model_filename":
        return None
    if completed and where in ("/max_batch_size", "/dynamic_batching"):
        detail = "Triton fills it in where the configuration does not say what the model takes"
        return Note(where, f"{difference.other or 'on'}: {detail}")
    if where == "/parameters/EXECUTION_ENV_PATH/string_value":
        return Note(where, "the execution environment lies in the version's folder here")
    detail = f"{_word(difference.one)} here would be {_word(difference.other)}: it cannot be kept"
    return Violation(where, "not_kept", detail)


def _word(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
