"""Looking into a model file without trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from control_plane.domain.serving.details import NO_DETAILS, Details
from control_plane.domain.signature import Signature


class InvalidModelError(ValueError):
    """The file is not a model that can be served; the message says why."""


class InspectionFailedError(RuntimeError):
    """The inspection itself came to no end; it says nothing about the model."""


class SandboxUnavailableError(InspectionFailedError):
    """This machine cannot limit a reader as it must be limited; nothing untrusted was read."""


@dataclass(frozen=True)
class Inspected:
    """What a file turned out to be.

    `files` are the members of an archive (name -> where they lie until the inspection is left);
    empty where the file is the model itself. `code` names what of it can carry code, in words;
    `parameters` are what the backend is told of it, `model_config` what else its own configuration
    says of it.
    """

    signature: Signature
    files: Mapping[str, Path]
    code: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    model_config: Mapping[str, Any] = field(default_factory=dict)


class ModelInspector(Protocol):
    """Reads model files in a process of their own, with limits."""

    def inspect(
        self,
        path: Path,
        framework: str,
        declared: Signature | None = None,
        details: Details = NO_DETAILS,
    ) -> AbstractContextManager[Inspected]:
        """What the file is; its members lie there until the context is left.

        Args:
            path: the file, or archive, as it was uploaded.
            declared: what the uploader says it takes and gives, where the file does not say.
            details: what else is said of it, the model's file among that.

        Raises:
            InvalidModelError: the file is corrupt, or needs what cannot be served.
            InspectionFailedError: reading it took too long, or broke the reader.
        """
        ...

    def check_loads(
        self,
        files: Mapping[str, AbstractContextManager[Path]],
        framework: str,
        signature: Signature,
        golden: tuple[Mapping[str, Any], ...] = (),
        details: Details = NO_DETAILS,
    ) -> tuple[str, ...]:
        """Loads the model in its runtime, with its libraries, and asks it the golden examples.

        Args:
            files: by the names that they have on a server; each is held while it is taken over.

        Returns:
            What the runtime could not be limited in on this machine, in words.

        Raises:
            InvalidModelError: with the runtime's own reason, or the first difference.
            InspectionFailedError: loading it took too long, or broke the runtime.
        """
        ...
