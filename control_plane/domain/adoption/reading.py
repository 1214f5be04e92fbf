"""What becomes of one model of somebody else's repository: what is kept, changed and refused.

The proof is made, not assumed: what Nereid would write for the model is compared with what stands
there, so that nothing of it can be lost without being named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from control_plane.domain.adoption.comparing import (
    PLATFORMS,
    Difference,
    differences,
    usual_files,
)
from control_plane.domain.adoption.libraries import with_libraries
from control_plane.domain.adoption.translating import (
    CARRIED,
    SERVING,
    details_document,
    profile_document,
    signature_document,
)
from control_plane.domain.planning.model_config import ANY_SERVER, BACKENDS, version_config
from control_plane.domain.registry.frameworks import CUSTOM, MAIN_FILES
from control_plane.domain.registry.uploaded_config import ConfigRefusedError, parameters_in
from control_plane.domain.serving.details import (
    NO_DETAILS,
    Details,
    is_there,
    main_file,
    read_details,
)
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
        *CARRIED,
        *("name", "platform", "backend", "input", "output", "parameters"),
        *("batch_input", "batch_output", "model_warmup", "version_policy"),
    }
)
"""The words of a configuration that something is made of."""

_TYPED = frozenset({"onnx"})
"""Frameworks whose files say what the model takes and gives."""


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

    @property
    def needs_file(self) -> bool:
        """False where nobody knows what the backend looks for, or whether for anything."""
        return self.framework != CUSTOM or bool(self.details.default_model_filename)


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
    completed = framework in _TYPED and not (given.get("input") and given.get("output"))
    document = profile_document(given, backend, completed=completed)
    signature = _signature(given, framework, completed, found)
    profile = _profile(name, document, found)
    placed = with_libraries(given, files, beside, found)
    details = _details(placed, framework, backend, found)
    parameters = _parameters(given, framework, [*files, *(beside or ())], found)
    own_file = main_file(framework, details, files)
    found += _missing(given, details, files, beside)
    changed: list[Note] = []
    if profile is not None and not found:
        compiled = version_config(
            framework,
            signature or _ANYTHING,
            profile,
            ANY_SERVER,
            main_file=own_file,
            parameters=parameters,
            details=details,
        )
        for difference in _told(given, compiled, details, said=signature is not None):
            note = _explained(difference, completed)
            if isinstance(note, Note):
                changed.append(note)
            else:
                found.append(note)
        changed += _libraries(given, details)
    return Reading(
        framework, own_file, signature, profile, details, parameters, tuple(changed), tuple(found)
    )


def _framework(
    values: Mapping[str, Any], files: Sequence[str], found: list[Violation]
) -> tuple[str, str]:
    """The framework and its backend; empty where nothing says it, which is then found."""
    said = str(values.get("backend") or values.get("platform") or "")
    backend = PLATFORMS.get(said, said)
    if not backend:
        # Triton guesses by the file's name, too.
        for framework, names in MAIN_FILES.items():
            if framework != CUSTOM and any(name in files for name in names):
                return framework, BACKENDS[framework]
        detail = (
            "there is neither a backend in a config.pbtxt nor a file that tells it; Triton knows "
            + ", ".join(
                name for kind, names in MAIN_FILES.items() if kind != CUSTOM for name in names
            )
        )
        found.append(Violation("/backend", "required", detail))
        return "", ""
    for framework, name in BACKENDS.items():
        if name == backend != CUSTOM:
            return framework, backend
    return CUSTOM, backend


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


def _details(
    values: Mapping[str, Any], framework: str, backend: str, found: list[Violation]
) -> Details:
    document = details_document(values, framework, backend, usual_files(backend))
    try:
        return read_details(document, "")
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


def _missing(
    values: Mapping[str, Any],
    details: Details,
    files: Sequence[str],
    beside: Sequence[str] | None,
) -> Iterator[Violation]:
    """Words that there is no place for, and files that it names and that are not there."""
    for key in sorted(values.keys() - _READ):
        yield Violation(f"/{key}", "not_kept", f"Nereid has no place for {key}: it cannot be kept")
    if beside is None:
        return
    for name in details.files:
        if name not in beside:
            where = "/model_warmup" if name.startswith("warmup/") else "/output"
            yield Violation(where, "missing_file", f"it names the file {name}, which is not there")
    for capability, name in details.cc_model_filenames.items():
        if not is_there(name, files):
            detail = f"it names the file {name} for {capability}, which is not there"
            yield Violation("/cc_model_filenames", "missing_file", detail)


def _libraries(values: Mapping[str, Any], details: Details) -> Iterator[Note]:
    said = values.get("model_operations", {}).get("op_library_filename", ())
    for given, kept in zip(said, details.libraries, strict=True):
        if given != kept:
            detail = f"the library {given} is the file {kept} that comes with each version"
            yield Note("/model_operations", detail)


def _told(
    given: Mapping[str, Any], compiled: Mapping[str, Any], details: Details, *, said: bool
) -> Iterator[Difference]:
    """Where what would be served says something else than what stands there."""
    known = {k: v for k, v in compiled.items() if said or k not in ("input", "output")}
    theirs = {k: v for k, v in given.items() if said or k not in ("input", "output")}
    theirs.setdefault("backend", compiled["backend"])
    # It is kept with the version, and compiled for no server.
    if details.version_policy:
        known["version_policy"] = details.version_policy.model_dump(exclude_none=True)
    yield from differences(theirs, known)


def _explained(difference: Difference, completed: bool) -> Note | Violation:
    """Why there is a difference; what nobody can explain is refused."""
    where = difference.pointer
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
