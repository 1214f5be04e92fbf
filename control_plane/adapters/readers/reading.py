"""What a model file, or the archive around it, turns out to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from control_plane.adapters.readers import (
    onnx_reader,
    python_reader,
    server_only_reader,
    triton_config,
)
from control_plane.adapters.readers.refusal import RefusedError
from control_plane.domain.registry.allowed_parameters import AllowedParameters, put_in_force
from control_plane.domain.registry.frameworks import MAIN_FILES, SERVER_ONLY, code_in
from control_plane.domain.signature import Signature, differences, narrowed


def read(
    main: str,
    files: dict[str, str],
    framework: str,
    declared: dict[str, Any] | None,
    allowed: str = "",
) -> dict[str, Any]:
    """The signature of a model, what of it can carry code, its file's name and its parameters.

    Args:
        main: the model's own file; empty: it has none, as its backend needs none.
        files: the members of the archive by name; empty where there is none.
        declared: the signature that the uploader gives.
        allowed: parameters that an operator allows beside those of the lists.

    Raises:
        RefusedError: it is no such model, or one that cannot be served.
    """
    put_in_force(AllowedParameters.of(allowed))  # this process has no settings of its own
    said = triton_config.read(files, framework)
    if said.signature and declared:
        _agree(declared, said.signature, "config.pbtxt")
    given = said.signature or declared
    code = [*code_in(files), *said.code]
    name = MAIN_FILES[framework][0]
    if framework == "onnx":
        signature = onnx_reader.read_signature(Path(main), {n: Path(p) for n, p in files.items()})
    elif framework == "python":
        signature = python_reader.read_signature(Path(main), given)
        code = [*code_in([name]), *code]
    elif framework == "transform":
        from control_plane.adapters.readers import transform_reader

        signature, name = transform_reader.read_signature(
            Path(main), {n: Path(p) for n, p in files.items()}
        )
    elif framework in SERVER_ONLY:
        signature, kinds, name = server_only_reader.read_signature(
            Path(main) if main else None, framework, files, given
        )
        code = [*kinds, *code]
    else:
        # PyTorch takes seconds to import: only where it is asked for.
        from control_plane.adapters.readers import torch_reader

        signature, kind, name = torch_reader.read_signature(Path(main), given)
        code = [kind, *code]
    if given:
        signature = _narrowed(given, signature)
    return {
        "signature": signature,
        "code": list(dict.fromkeys(code)),
        "name": name,
        "parameters": said.parameters,
        "model_config": said.model_config,
    }


def _narrowed(said: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What was said of the file, which may be less than it can."""
    signature, problems = narrowed(Signature.from_document(found), Signature.from_document(said))
    if problems:
        raise RefusedError(
            f"the file takes or gives something else than was said: {'; '.join(problems)}"
        )
    return signature.to_document()


def _agree(said: dict[str, Any], found: dict[str, Any], where: str) -> None:
    differing = differences(Signature.from_document(found), Signature.from_document(said))
    if differing:
        raise RefusedError(
            f"{where} takes or gives something else than was said: {'; '.join(differing)}"
        )
