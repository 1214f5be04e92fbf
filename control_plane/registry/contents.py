"""What an upload consists of once it was looked into: files, signature, examples, and code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from control_plane.domain.access import PUBLISH_CODE
from control_plane.domain.registry.frameworks import (
    CUSTOM,
    GOLDEN_FILE,
    LIBRARY,
    MAIN_FILES,
    code_in,
)
from control_plane.domain.registry.golden import parse_golden
from control_plane.domain.serving.callers import callers_signature
from control_plane.domain.serving.details import MODEL_FOLDER, Details, beside_problem
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.serving.warmup import Shapes
from control_plane.domain.signature import Signature
from control_plane.domain.violations import InvalidInputError, NotAllowedError, Violation
from control_plane.ports.inspection import (
    Inspected,
    InspectionFailedError,
    InvalidModelError,
    ModelInspector,
    SandboxUnavailableError,
)
from control_plane.ports.repository import ArtifactMissingError, ArtifactStore, read_artifact
from control_plane.registry.artifacts import Intake
from control_plane.registry.model_config import read_model_config
from control_plane.registry.models import ModelVersion
from control_plane.registry.profiles import usable_profile


@dataclass(frozen=True)
class Content:
    """What was stored; `files` is empty where the artifact is the model, under its usual name.

    A model of a backend of its own has no usual name: of such it is empty where there is no file.
    """

    sha256: str
    signature: Signature
    files: Mapping[str, str]
    code: tuple[str, ...]
    golden_sha256: str | None
    golden_shapes: Sequence[Shapes]
    parameters: Mapping[str, str]
    model_config: Mapping[str, Any]


class Described(Protocol):
    """What an uploader says of the content."""

    @property
    def framework(self) -> str: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def profile(self) -> str: ...
    @property
    def overrides(self) -> Mapping[str, Any]: ...
    @property
    def signature(self) -> Signature | None: ...
    @property
    def golden(self) -> Sequence[Any]: ...
    @property
    def model_config(self) -> Mapping[str, Any]: ...


def take_in(
    files: Intake,
    stream: BinaryIO,
    said: Described,
    *,
    inspector: ModelInspector,
    may_publish_code: bool,
) -> Content:
    """Stores the stream and what is in it, once it was read and found to be such a model.

    Raises:
        InvalidInputError: the file, or an example, is not usable.
        NotAllowedError: it can carry code, and the uploader may not publish that.
        SandboxUnavailableError: nothing untrusted can be read on this machine.
    """
    sha256 = files.add(stream, said.sha256)
    try:
        before = Details.model_validate(
            read_model_config(said.model_config, said.framework).document
        )
        with (
            files.held(sha256) as path,
            inspector.inspect(path, said.framework, said.signature, before) as found,
        ):
            if found.code and not may_publish_code:
                raise code_refusal(" and ".join(found.code))
            if GOLDEN_FILE in found.files:
                raise InvalidModelError(
                    f"the archive holds a {GOLDEN_FILE}: examples go into the metadata's `golden`"
                )
            _check_beside(found.files)
            own = read_model_config(
                _with_found(said.model_config, found, said.framework),
                said.framework,
                signature=found.signature,
                files=found.files,
            )
            if own.code and not may_publish_code:
                raise code_refusal(" and ".join(own.code))
            details = Details.model_validate(own.document)
            golden, shapes = golden_document(said, found.signature, details)
            members = files.add_all(found.files)
            signature = found.signature
            code = tuple(dict.fromkeys([*found.code, *own.code]))
            parameters = {**found.parameters, **own.parameters}
    except SandboxUnavailableError:
        raise
    except (InvalidModelError, InspectionFailedError) as error:
        violation = Violation("/artifact", "invalid_model", str(error))
        raise InvalidInputError([violation]) from error
    if said.framework != CUSTOM and members == {MAIN_FILES[said.framework][0]: sha256}:
        members = {}
    golden_sha256 = files.add_bytes(golden) if golden else None
    return Content(
        sha256, signature, members, code, golden_sha256, shapes, parameters, own.document
    )


def _with_found(said: Mapping[str, Any], found: Inspected, framework: str) -> Mapping[str, Any]:
    """What the uploader says of the model, and what the archive does.

    Where nobody says anything, an ONNX model has the libraries beside it for its operators.
    """
    result = {**found.model_config, **said}
    inside = [name for name in found.files if not name.startswith(MODEL_FOLDER)]
    libraries = sorted(name for name in inside if LIBRARY in code_in([name]))
    if framework == "onnx" and libraries and not result:
        result["model_operations"] = {"op_library_filename": libraries}
    return result


def _check_beside(names: Iterable[str]) -> None:
    for name in names:
        if name.startswith(MODEL_FOLDER) and (why := beside_problem(name[len(MODEL_FOLDER) :])):
            raise InvalidModelError(f"the archive's member {name!r}: {why}")


def golden_document(
    said: Described, signature: Signature, details: Details
) -> tuple[bytes, list[Shapes]]:
    """The examples as every server reads them, and their inputs' shapes; nothing of none.

    They are what callers send and get: states and controls of sequences are not in them.

    Raises:
        InvalidInputError: they do not fit what the model takes and gives, or it streams.
    """
    if not said.golden:
        return b"", []
    profile = overridden(usable_profile(said.profile), said.overrides, "/overrides")
    if profile.model_transaction_policy.decoupled:
        detail = (
            f"its serving profile {profile.name} has any number of answers to a request, and an "
            "example says one: leave the examples out"
        )
        raise InvalidInputError([Violation("/golden", "exclusive", detail)])
    callers = callers_signature(signature, profile, details)
    examples = parse_golden(said.golden, callers, max_rows=profile.max_batch_size or None)
    shapes: list[Shapes] = [{t.name: t.shape for t in one.inputs} for one in examples]
    return json.dumps(list(said.golden), separators=(",", ":")).encode(), shapes


def code_refusal(what: str) -> NotAllowedError:
    """Why somebody may not publish this."""
    return NotAllowedError(
        f"{what} can carry code: publishing that needs the permission {PUBLISH_CODE}"
    )


def placed_files(
    version: ModelVersion, store: ArtifactStore
) -> dict[str, AbstractContextManager[Path]]:
    """The version's files by the names that they have on a server, each to be held.

    Raises:
        ArtifactMissingError: it has none; and when one is held that is not in the store.
    """
    named = {file.path: file.artifact_id for file in version.files.all()}
    needed = version.framework != CUSTOM or version.model_config.get("default_model_filename")
    if needed and not named:
        if version.artifact_id is None:
            raise ArtifactMissingError(f"{version} has no file")
        named = {MAIN_FILES[version.framework][0]: version.artifact_id}
    return {path: store.held(sha256) for path, sha256 in named.items()}


def golden_examples(version: ModelVersion, store: ArtifactStore) -> tuple[Mapping[str, Any], ...]:
    """The version's golden examples, as they were sent.

    Raises:
        ArtifactMissingError: they are not in the store.
    """
    if version.golden_id is None:
        return ()
    return tuple(json.loads(read_artifact(store, version.golden_id)))
