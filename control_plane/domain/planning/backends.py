"""Which backends a server has, and whether what a plan puts there can run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from control_plane.domain.planning.model_config import ACCELERATORS, Config
from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.domain.violations import InvalidInputError, Violation

EXPORTED_SUFFIX = ".pt2"

OURS = frozenset(
    {
        *("cascade", "onnxruntime", "python", "pytorch", "remote", "traffic", "transform"),
        "weighted_average",
    }
)
"""What comes with Nereid, or with every Triton."""


class BackendKind(StrEnum):
    """How a backend is made: a library, or Python code that the backend `python` runs."""

    NATIVE = "native"
    PYTHON = "python"


@dataclass(frozen=True)
class Backend:
    """One backend of a server; `version` is empty where its files do not say it."""

    name: str
    kind: BackendKind
    version: str = ""

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        return f"{self.name}{version}" + (" (Python-based)" if self.kind == "python" else "")

    def to_document(self) -> dict[str, Any]:
        """The JSON form, as a server's record keeps it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Backend:
        """The inverse of `to_document`; raises KeyError or ValueError on anything else."""
        return cls(document["name"], BackendKind(document["kind"]), document.get("version", ""))


@dataclass(frozen=True)
class Equipped:
    """A server with all of its backends."""

    server: str
    backends: tuple[Backend, ...]
    accelerator: str = "gpu"
    triton_version: str = ""


METRICS_SINCE = (2, 52)
"""The first Triton that reads a model's own metrics."""


def check_backends(plan: Plan, servers: Sequence[Equipped]) -> None:
    """Every server can run what the plan puts there: its models and its router.

    Args:
        servers: those whose backends are known.

    Raises:
        InvalidInputError: a violation for each model and server that lacks its backend.
    """
    found = [
        Violation(where, "backend", f"{name}: {lack}")
        for where, name, directory in _directories(plan)
        for lack in lacks(directory, servers)
    ]
    if found:
        raise InvalidInputError(found)


def lacks(directory: ModelDirectory, servers: Iterable[Equipped]) -> Iterator[str]:
    """What is missing to run one model, for each server that cannot, with what to do."""
    # The accelerators' variants differ in instances and devices, never in the backend.
    config = directory.variants[ACCELERATORS[0]]
    for one in servers:
        if lack := _too_old(config, one):
            yield lack
    if "backend" not in config or "runtime" in config:
        return  # an ensemble is Triton's own; a model may bring its backend along
    library = f"libtriton_{config['backend']}.so"
    if {library, f"1/{library}"} & set(directory.links):
        return
    for one in servers:
        if lack := _lack(config, one):
            yield lack


def _directories(plan: Plan) -> Iterator[tuple[str, str, ModelDirectory]]:
    places = {p.physical: i for i, p in enumerate(plan.arms)}
    for model in plan.models:
        i = places.get(model.name)
        if i is None:
            yield "", model.name, model
        else:
            arm = plan.arms[i].arm
            yield f"/arms/{i}/version", f"{arm.model} version {arm.version}", model
    yield "", f"the router {plan.endpoint}", plan.router


def _too_old(config: Config, one: Equipped) -> str:
    if "model_metrics" not in config or not one.triton_version:
        return ""
    parts = one.triton_version.split(".")[:2]
    if not all(part.isdecimal() for part in parts) or tuple(map(int, parts)) >= METRICS_SINCE:
        return ""
    since = ".".join(map(str, METRICS_SINCE))
    return (
        f"server {one.server} runs Triton {one.triton_version}, which reads no model_metrics: "
        f"{since} is the first. Leave model_metrics out of the serving profile, or take it away "
        'with the override {"model_metrics": null}'
    )


def _lack(config: Config, one: Equipped) -> str:
    wanted = str(config["backend"])
    there = {backend.name: backend for backend in one.backends}
    has = ", ".join(sorted(there)) or "none"
    found = there.get(wanted)
    if found is None:
        return f"server {one.server} has no backend {wanted} (it has: {has}). {_remedy(wanted)}"
    if found.kind == BackendKind.PYTHON and "python" not in there:
        return (
            f"server {one.server} has no backend python, which runs its Python-based {wanted} "
            f"(it has: {has}). {_remedy('python')}"
        )
    if wanted == "tensorrt" and one.accelerator == "cpu":
        return (
            f"server {one.server} has no GPU, and a TensorRT engine runs on nothing else. Push "
            "the model as ONNX as well, and serve that where there is none"
        )
    file = str(config.get("default_model_filename", ""))
    if not file and "cc_model_filenames" in config and found.kind == BackendKind.PYTHON:
        return (
            f"server {one.server} has Nereid's {wanted}, and the model has files for some GPUs "
            "alone: give it a default_model_filename, or put NVIDIA's backend on that server"
        )
    exported = wanted == "pytorch" and file.endswith(EXPORTED_SUFFIX)
    if exported and found.kind == BackendKind.NATIVE:
        return (
            f"server {one.server} has NVIDIA's pytorch backend, which runs TorchScript and no "
            "torch.export program. Push it as TorchScript (model.pt), or put Nereid's "
            "backends/pytorch into that server's backend directory in place of it"
        )
    return ""


def _remedy(backend: str) -> str:
    gone = "or, if that server is gone for good, forget it: nereid servers remove NAME"
    if backend in OURS:
        return f"Put {backend} into that server's backend directory (backends/README.md), {gone}"
    return f"Start that server from an image of NVIDIA's that carries {backend}, {gone}"
