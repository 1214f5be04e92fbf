"""Reading PyTorch's files: TorchScript and torch.export; never a plain pickle."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from control_plane.adapters.readers.refusal import RefusedError
from control_plane.domain.registry.frameworks import EXPORTED, TORCHSCRIPT
from control_plane.domain.signature import Signature

_DATATYPES = {
    "torch.float32": "FP32",
    "torch.float64": "FP64",
    "torch.float16": "FP16",
    "torch.bfloat16": "BF16",
    "torch.uint8": "UINT8",
    "torch.int8": "INT8",
    "torch.int16": "INT16",
    "torch.int32": "INT32",
    "torch.int64": "INT64",
    "torch.bool": "BOOL",
}


def read_signature(path: Path, given: dict[str, Any] | None) -> tuple[dict[str, Any], str, str]:
    """The signature, the kind of program in words, and the name the file should have.

    TorchScript does not say types and shapes: they are given, and the number of inputs agrees. A
    torch.export program says all; its outputs have no names there and get Triton's, OUTPUT__0.

    Raises:
        RefusedError: it is neither, PyTorch is not installed here, or nothing says the shapes.
    """
    if _is_exported(path):
        with _reasons("torch.export"):
            return _exported(path, given), EXPORTED, "model.pt2"
    with _reasons("TorchScript"):
        return _scripted(path, given), TORCHSCRIPT, "model.pt"


def open_program(path: Path, name: str) -> Any:
    """The program, ready to be called.

    Raises:
        RefusedError: PyTorch cannot open it.
    """
    torch = _torch()
    with _reasons("PyTorch"):
        if name.endswith(".pt2"):
            return torch.export.load(str(path)).module()
        return torch.jit.load(str(path), map_location="cpu").eval()


def _exported(path: Path, given: dict[str, Any] | None) -> dict[str, Any]:
    program = _torch().export.load(str(path))
    values = {
        node.name: node.meta.get("val")
        for node in program.graph.nodes
        if node.op in ("placeholder", "call_function", "get_attr")
    }
    names = list(program.graph_signature.user_inputs)
    outputs = list(program.graph_signature.user_outputs)
    given_outputs = given["outputs"] if given and len(given["outputs"]) == len(outputs) else []
    given_inputs = given["inputs"] if given and len(given["inputs"]) == len(names) else []
    return {
        "inputs": [
            _tensor(given_inputs[i]["name"] if given_inputs else str(name), values.get(name))
            for i, name in enumerate(names)
        ],
        "outputs": [
            _tensor(given_outputs[i]["name"] if given_outputs else f"OUTPUT__{i}", values.get(name))
            for i, name in enumerate(outputs)
        ],
    }


def datatype_of(value: Any) -> str:
    """The KServe v2 name of what a PyTorch tensor holds; empty where Triton has none."""
    return _DATATYPES.get(str(getattr(value, "dtype", "")), "")


def _tensor(name: str, value: Any) -> dict[str, Any]:
    datatype = datatype_of(value)
    if not datatype:
        raise RefusedError(f"{name!r} is no tensor of a type that Triton has")
    # A size that varies is a symbol there, and no whole number.
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return {"name": name, "datatype": datatype, "shape": shape}


def _scripted(path: Path, given: dict[str, Any] | None) -> dict[str, Any]:
    program = open_program(path, "model.pt")
    arguments = [a.name for a in program.forward.schema.arguments if a.name != "self"]
    if given is None:
        raise RefusedError(
            "a TorchScript file does not say types and shapes: name them as `signature` in the "
            f"metadata, with the inputs {', '.join(arguments)}"
        )
    signature = Signature.from_document(given)
    needed = [a for a in program.forward.schema.arguments if not a.has_default_value()]
    if not len(needed) - 1 <= len(signature.inputs) <= len(arguments):
        raise RefusedError(
            f"its forward takes {len(arguments)} inputs ({', '.join(arguments)}), and the "
            f"signature names {len(signature.inputs)}"
        )
    return given


def _is_exported(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, UnicodeError, NotImplementedError, OSError) as error:
        raise RefusedError(
            f"neither TorchScript nor torch.export: it is no zip file, or cut short ({error})"
        ) from error
    inner = {name.partition("/")[2] or name for name in names}
    if "archive_format" in inner:
        return True
    if "constants.pkl" not in inner:
        raise RefusedError(
            "neither TorchScript nor torch.export: pickled models and weights are not taken. "
            "Save it by torch.jit.save or torch.export.save"
        )
    return False


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise RefusedError(
            f"PyTorch is not installed where uploads are read, so its files cannot be: {error}"
        ) from error
    return torch


@contextlib.contextmanager
def _reasons(what: str) -> Iterator[None]:
    """PyTorch has many kinds of errors for a file that it cannot open; all of them are a no."""
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RefusedError(f"{what} says no: {first[:500]}") from error
