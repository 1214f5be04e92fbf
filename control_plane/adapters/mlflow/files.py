"""Which files of a logged model are the model: told from its `MLmodel`, and from names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from control_plane.domain.registry.frameworks import is_member_name
from control_plane.domain.signature import Signature, read_signature
from control_plane.domain.violations import InvalidInputError
from control_plane.ports.sources import SourceRefusedError

DESCRIPTION = "MLmodel"
SUFFIXES = {".onnx": "onnx", ".pt2": "pytorch", ".pt": "pytorch"}
_TAKEN = ("onnx", "pytorch")

_OF_MLFLOW = (
    *(
        DESCRIPTION,
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "environment_variables.txt",
    ),
    *("input_example.json", "input_example.npz", "serving_input_example.json"),
    *("registered_model_meta", "model_config.yaml", "pickle_module_info.txt", "estimator.html"),
)
_LONGEST_PATH = 1024
_PROGRAMS = ("model.pt2", "model.pt", "model.pth")
_ADVICE = (
    "Nereid takes ONNX, TorchScript and torch.export programs: convert it (skl2onnx, "
    "onnxmltools, torch.onnx), log that with mlflow.onnx.log_model, register it, and name that "
    "version"
)

_DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"{u}int{bits}": f"{u.upper()}INT{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class LoggedModel:
    """What an `MLmodel` says: flavours with their settings, and the signature if it has one."""

    flavours: Mapping[str, Mapping[str, Any]]
    signature: Signature | None


@dataclass(frozen=True)
class Wanted:
    """The model's file in its folder, and what belongs to it there (external data)."""

    framework: str
    folder: str
    main: str
    beside: tuple[str, ...] = ()


def read_description(text: bytes, what: str) -> LoggedModel:
    """Reads an `MLmodel`.

    Raises:
        SourceRefusedError: it is no such file.
    """
    if b"<<" in text:  # merged keys can be made to grow without end; MLflow writes none
        raise SourceRefusedError(f"the MLmodel of {what} merges keys, which is not taken")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceRefusedError(f"the MLmodel of {what} is no YAML") from error
    flavours = document.get("flavors") if isinstance(document, Mapping) else None
    if not isinstance(flavours, Mapping):
        raise SourceRefusedError(f"the MLmodel of {what} names no flavours")
    known = {
        name: said if isinstance(said, Mapping) else {}
        for name, said in flavours.items()
        if isinstance(name, str)
    }
    return LoggedModel(known, _signature(document.get("signature")))


def folder_of(model: LoggedModel, framework: str, what: str) -> tuple[str, str]:
    """The framework to take, and the folder in the model where its file lies.

    Raises:
        SourceRefusedError: no flavour is one that is taken; the words say which there are.
    """
    there = [name for name in _TAKEN if name in model.flavours]
    if framework and framework in there:
        there = [framework]
    if not there or (framework and framework not in there):
        said = _listed(sorted(model.flavours)) if model.flavours else "none"
        asked = f", and none is {framework}" if framework and there else ""
        raise SourceRefusedError(f"{what} has the flavours {said}{asked}. {_ADVICE}")
    flavour = there[0]
    if flavour == "onnx":
        folder = PurePosixPath(_path(model, "onnx", "data", "model.onnx", what)).parent
        return flavour, "" if str(folder) == "." else str(folder)
    return flavour, _path(model, "pytorch", "model_data", "data", what)


def pick(
    model: LoggedModel, framework: str, folder: str, names: Iterable[str], what: str
) -> Wanted:
    """The files to fetch, of those that lie in the folder.

    Raises:
        SourceRefusedError: the model's file is not among them.
    """
    there = sorted(names)
    if framework == "pytorch":
        main = next((name for name in _PROGRAMS if name in there), None)
        if main is None:
            raise SourceRefusedError(f"{what} holds {_listed(there)} in {folder}. {_ADVICE}")
        return Wanted(framework, folder, main)
    data = _path(model, "onnx", "data", "model.onnx", what)
    main = PurePosixPath(data).name
    if main not in there:
        raise SourceRefusedError(f"{what} has no {data}: there are {_listed(there)}")
    beside = tuple(name for name in there if name != main and name not in _OF_MLFLOW)
    if odd := [name for name in beside if not is_member_name(name)]:
        raise SourceRefusedError(f"{what} holds {_listed(odd)}: such a name is not taken")
    return Wanted(framework, folder, main, beside)


def only_file(names: Iterable[str], framework: str, what: str) -> Wanted:
    """The one model file of a folder without `MLmodel`.

    Raises:
        SourceRefusedError: there is none, or more than one.
    """
    there = sorted(names)
    models = [name for name in there if PurePosixPath(name).suffix in SUFFIXES]
    if len(models) != 1:
        raise SourceRefusedError(
            f"{what} has no MLmodel, and holds {_listed(there)}: one file ending in "
            f"{', '.join(SUFFIXES)} is taken. {_ADVICE}"
        )
    told = SUFFIXES[PurePosixPath(models[0]).suffix]
    return Wanted(framework or told, "", models[0])


def _path(model: LoggedModel, flavour: str, key: str, usual: str, what: str) -> str:
    """Where a flavour says that its file lies. Only a text is looked at: written out, lists that
    a YAML alias names again and again have no end."""
    said = model.flavours[flavour].get(key) or usual
    if not isinstance(said, str) or len(said) > _LONGEST_PATH:
        raise SourceRefusedError(f"the MLmodel of {what} has a {key} of {flavour} that is no path")
    return said


def _listed(names: list[str]) -> str:
    shown = ", ".join(_shown(name) for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown or "no file"


def _shown(name: str) -> str:
    """A name from elsewhere as a reason can hold it: of some length, and without what is not
    printed."""
    return name if name.isprintable() and len(name) <= 100 else ascii(name[:100])


def _signature(document: Any) -> Signature | None:
    """The tensors of an MLflow signature; None where it has columns, or there is none."""
    if not isinstance(document, Mapping):
        return None
    try:
        sides = {
            side: [
                _tensor(entry, f"{side[:-1].upper()}__{index}")
                for index, entry in enumerate(json.loads(document[side]))
            ]
            for side in ("inputs", "outputs")
        }
        return read_signature(sides)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, InvalidInputError):
        return None


def _tensor(entry: Mapping[str, Any], unnamed: str) -> dict[str, Any]:
    spec = entry["tensor-spec"]
    return {
        "name": entry.get("name") or unnamed,
        "datatype": _DATATYPES[spec["dtype"]],
        "shape": spec["shape"],
    }
