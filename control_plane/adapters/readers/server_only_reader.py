"""Looking at models that only a server with the backend can open: their form, and no more.

None of these files says in a way that can be read without the framework what it takes and gives.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from control_plane.adapters.readers.refusal import RefusedError
from control_plane.domain.registry.frameworks import CODE_OF, CUSTOM, MAIN_FILES

MAX_TEXT_BYTES = 64 << 20
"""Of an OpenVINO graph, whose weights lie beside it."""

MAX_ENGINE_BYTES = 1 << 20


def read_signature(
    main: Path | None, framework: str, members: Collection[str], given: dict[str, Any] | None
) -> tuple[dict[str, Any], list[str], str]:
    """(the given signature, what of it is code, the file's name), once the form is right.

    Args:
        main: the model's own file; None: its backend needs none.
        members: the archive's; empty where there is none.

    Raises:
        RefusedError: it cannot be such a model, or nothing says what it takes and gives.
    """
    name = MAIN_FILES[framework][0]
    if main is not None and framework != CUSTOM and main.stat().st_size == 0:
        raise RefusedError("the file is empty")
    if main is None:
        name = ""
    elif framework == "openvino":
        _check_ir(main, members)
    elif framework == "vllm":
        _check_engine(main)
    elif framework == "tensorflow" and not members:
        name = MAIN_FILES[framework][1]  # a file alone is no SavedModel, which is a folder
    if given is None:
        raise RefusedError(
            f"a model of the framework {framework} does not say what it takes and gives: name it "
            "as `signature` in the metadata, or add a config.pbtxt with input and output to the "
            "archive"
        )
    return given, [CODE_OF[framework]] if framework in CODE_OF else [], name


def _check_ir(main: Path, members: Collection[str]) -> None:
    """OpenVINO's graph is XML; its constants lie in the file of weights."""
    if main.stat().st_size > MAX_TEXT_BYTES:
        raise RefusedError(f"model.xml has more than {MAX_TEXT_BYTES} bytes")
    try:
        # In a process of its own, with limits: what grows without end ends there.
        net = ElementTree.parse(main).getroot()  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RefusedError(f"model.xml is no XML: {error}") from error
    if net.tag != "net":
        raise RefusedError(f"model.xml is no OpenVINO graph: it begins with <{net.tag[:80]}>")
    constants = any(layer.get("type") == "Const" for layer in net.iter("layer"))
    weights = f"{main.stem}.bin" if members else "model.bin"
    if constants and weights not in members:
        raise RefusedError(
            f"the graph has constants, and there is no {weights} beside it: send an archive "
            f"with {weights.removesuffix('.bin')}.xml and {weights}"
        )


def _check_engine(main: Path) -> None:
    """vLLM's file holds the engine's arguments, a model's name among them."""
    if main.stat().st_size > MAX_ENGINE_BYTES:
        raise RefusedError(f"model.json has more than {MAX_ENGINE_BYTES} bytes")
    try:
        said = json.loads(main.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"model.json is no JSON: {str(error)[:200]}") from error
    if not isinstance(said, dict) or not isinstance(said.get("model"), str) or not said["model"]:
        raise RefusedError(
            'model.json holds no engine arguments: it is an object with "model", a name or path'
        )
