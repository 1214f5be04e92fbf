"""What an uploader says of a model in the words of Triton's configuration, checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from control_plane.domain.registry.frameworks import CUSTOM, ENVIRONMENT
from control_plane.domain.registry.uploaded_config import ConfigRefusedError, parameters_in
from control_plane.domain.serving.details import MODEL_FOLDER, Details, is_there, read_details
from control_plane.domain.signature import Signature
from control_plane.domain.violations import InvalidInputError, Violation

WHERE = "/model_config"


@dataclass(frozen=True)
class OwnConfig:
    """The details as they are kept, the backend's parameters, and what can carry code."""

    document: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    code: tuple[str, ...] = ()


def read_model_config(
    document: object,
    framework: str,
    *,
    signature: Signature | None = None,
    files: Collection[str] | None = None,
) -> OwnConfig:
    """What goes with the version.

    Args:
        signature: what the model turned out to take and give; None: nobody has looked yet.
        files: of the archive; as above.

    Raises:
        InvalidInputError: it says what cannot be, or names a tensor or file that is not there.
    """
    if not isinstance(document, Mapping):
        raise InvalidInputError([Violation(WHERE, "type", "a JSON object in Triton's words")])
    said = dict(document)
    parameters = said.pop("parameters", {})
    details = read_details(said, WHERE)
    found = list(_backend(details, framework, looked_at=files is not None))
    told: dict[str, str] = {}
    if signature is not None and files is not None:
        told = _parameters(parameters, framework, files, found)
        found += _absent(details, signature, files)
    if found:
        raise InvalidInputError(found)
    environment = [ENVIRONMENT] if "EXECUTION_ENV_PATH" in told else []
    return OwnConfig(details.to_document(), told, (*environment, *details.code))


def _backend(details: Details, framework: str, *, looked_at: bool) -> Iterator[Violation]:
    """A backend is named by what has no other way to say it."""
    if framework != CUSTOM and details.backend:
        detail = f"the framework {framework} has its backend: leave it out"
        yield Violation(f"{WHERE}/backend", "exclusive", detail)
    elif framework == CUSTOM and looked_at and not details.backend:
        detail = "a model of the framework custom says which backend serves it"
        yield Violation(f"{WHERE}/backend", "required", detail)


def _parameters(
    parameters: object, framework: str, files: Collection[str], found: list[Violation]
) -> dict[str, str]:
    where = f"{WHERE}/parameters"
    if not isinstance(parameters, Mapping) or not all(
        isinstance(entry, Mapping)
        and entry.keys() == {"string_value"}
        and isinstance(entry["string_value"], str)
        for entry in parameters.values()
    ):
        found.append(Violation(where, "type", 'an object of {"string_value": …} by name'))
        return {}
    try:
        return parameters_in({"parameters": parameters}, framework, files)
    except ConfigRefusedError as error:
        found.append(Violation(where, "not_allowed", str(error)))
        return {}


def _absent(details: Details, signature: Signature, files: Collection[str]) -> list[Violation]:
    """Tensors and files that the details name and that are not there."""
    found = []
    sides = (
        ("input", [*details.input], {t.name for t in signature.inputs}),
        ("output", [*details.output], {t.name for t in signature.outputs}),
    )
    for side, said, there in sides:
        for i, one in enumerate(said):
            if one.name not in there:
                detail = f"the model has no {side} {one.name!r}"
                found.append(Violation(f"{WHERE}/{side}/{i}/name", "not_found", detail))
    for name in sorted(details.filled - {t.name for t in signature.inputs}):
        detail = f"the model has no input {name!r} for the batcher to fill"
        found.append(Violation(f"{WHERE}/batch_input", "not_found", detail))
    for name in details.files:
        if f"{MODEL_FOLDER}{name}" not in files:
            detail = f"the archive has no {MODEL_FOLDER}{name}, which it names"
            found.append(Violation(WHERE, "missing_file", detail))
    for name in details.libraries:
        if not {name, f"{MODEL_FOLDER}{name}"} & set(files):
            place = f"{WHERE}/model_operations/op_library_filename"
            detail = f"the library {name} is no file of the archive"
            found.append(Violation(place, "missing_file", detail))
    for capability, name in details.cc_model_filenames.items():
        if not is_there(name, files):
            detail = f"the archive has no {name}, which it names for {capability}"
            found.append(Violation(f"{WHERE}/cc_model_filenames", "missing_file", detail))
    return found
