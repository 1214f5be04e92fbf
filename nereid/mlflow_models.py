"""A model that MLflow logged, as something to push: its file, and what its run says.

Imported where MLflow is: `pip install nereid[mlflow]`.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

FLAVOURS = ("onnx", "pytorch")
SUFFIXES = (".onnx", ".pt2", ".pt")
_PROGRAMS = ("model.pt2", "model.pt", "model.pth")
_OF_MLFLOW = frozenset(
    {
        *("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "registered_model_meta"),
        *("input_example.json", "serving_input_example.json", "environment_variables.txt"),
    }
)
_ADVICE = (
    "Nereid takes ONNX, TorchScript and torch.export programs: convert it (skl2onnx, onnxmltools, "
    "torch.onnx), and log that with mlflow.onnx.log_model"
)


@dataclass(frozen=True)
class Logged:
    """A file to push, and what is told of it."""

    path: Path
    flavour: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def settled(model_uri: str) -> tuple[str, dict[str, str]]:
    """The address with the number that its alias means now, and the alias.

    Raises:
        MlflowException: there is no such alias.
    """
    name, at, alias = model_uri.removeprefix("models:/").rpartition("@")
    if not model_uri.startswith("models:/") or not at or "/" in model_uri[len("models:/") :]:
        return model_uri, {}
    found = mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    return f"models:/{name}/{found.version}", {"mlflow_alias": alias}


@contextmanager
def fetched(model_uri: str, flavour: str | None) -> Iterator[Logged]:
    """The model, as MLflow's own client finds it: a registered one, a run's, a folder, a file.

    Raises:
        MlflowException: it is not there, or no flavour of it is taken.
    """
    address, named = settled(model_uri)
    with TemporaryDirectory(prefix="nereid-mlflow-") as scratch:
        place = Path(mlflow.artifacts.download_artifacts(address, dst_path=scratch))
        origin = {"mlflow_model": address, **named}
        if not (place / "MLmodel").exists():
            path = _only_file(place, address)
            yield Logged(path, "onnx" if path.suffix == ".onnx" else "pytorch", {}, origin)
            return
        described = Model.load(str(place))
        taken = _flavour(described.flavors, flavour, address)
        files = _files(place, described.flavors, taken, address)
        metrics, provenance = _run(described.run_id)
        path = files[0] if len(files) == 1 else _joined(files, Path(scratch) / "model.tar")
        yield Logged(path, taken, metrics, {**origin, **provenance})


def _flavour(flavours: Mapping[str, Any], wanted: str | None, what: str) -> str:
    there = [name for name in FLAVOURS if name in flavours and wanted in (None, name)]
    if not there:
        said = ", ".join(sorted(flavours)) or "none"
        asked = f", and {wanted} was asked for" if wanted else ""
        raise _refused(f"{what} has the flavours {said}{asked}. {_ADVICE}.")
    return there[0]


def _files(place: Path, flavours: Mapping[str, Any], flavour: str, what: str) -> list[Path]:
    """The model's file, and behind it what belongs to it: an ONNX model's external data."""
    if flavour == "onnx":
        main = _within(place, flavours["onnx"].get("data") or "model.onnx", what)
        beside = [
            path
            for path in sorted(main.parent.iterdir())
            if path.is_file() and path != main and path.name not in _OF_MLFLOW
        ]
        return [main, *beside]
    folder = _within(place, flavours["pytorch"].get("model_data") or "data", what)
    for name in _PROGRAMS:
        if (folder / name).exists():
            return [folder / name]
    raise _refused(f"{what} has no {', '.join(_PROGRAMS)} in {folder.name}. {_ADVICE}.")


def _within(place: Path, said: object, what: str) -> Path:
    """What an `MLmodel` names, which a stranger may have written: nothing else of this machine is
    sent."""
    path = Path(said) if isinstance(said, str) else Path("/")
    if path.is_absolute() or ".." in path.parts:
        raise _refused(f"the MLmodel of {what} has a file that is not of the model: {path}")
    return place / path


def _only_file(place: Path, what: str) -> Path:
    there = [place] if place.is_file() else sorted(p for p in place.iterdir() if p.is_file())
    models = [path for path in there if path.suffix in SUFFIXES]
    if len(models) != 1:
        names = ", ".join(path.name for path in there[:8]) or "nothing"
        raise _refused(
            f"{what} has no MLmodel, and holds {names}: one file ending in {', '.join(SUFFIXES)} "
            f"is taken. {_ADVICE}."
        )
    return models[0]


def _joined(files: list[Path], target: Path) -> Path:
    """A tar of them, which is the same for the same files."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        made = tarfile.TarInfo(info.name)
        made.size = info.size
        return made

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in files:
            archive.add(path, path.name, filter=plain)
    return target


def _run(run_id: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures and provenance of the run; nothing where it is gone."""
    if not run_id:
        return {}, {}
    try:
        data = mlflow.MlflowClient().get_run(run_id).data
    except MlflowException:
        return {}, {"run_id": run_id}
    figures: dict[str, Any] = {}
    for name, value in data.metrics.items():
        data_set, slash, metric = name.partition("/")
        # `val/loss` is of the data set `val`, unless that is a figure itself.
        if slash and data_set not in data.metrics:
            figures.setdefault(data_set, {})[metric] = value
        else:
            figures[name] = value
    tags = {"git_commit": "mlflow.source.git.commit", "author": "mlflow.user"}
    told = {field: data.tags[tag] for field, tag in tags.items() if data.tags.get(tag)}
    return figures, {"run_id": run_id, **told}


def _refused(words: str) -> MlflowException:
    return MlflowException(words, error_code=INVALID_PARAMETER_VALUE)
