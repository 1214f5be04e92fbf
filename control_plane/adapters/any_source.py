"""`ports.sources.Sources` of every kind: which adapter an address belongs to."""

from __future__ import annotations

from contextlib import AbstractContextManager

from control_plane.adapters.mlflow.address import SCHEME
from control_plane.adapters.mlflow.sources import MlflowSources
from control_plane.adapters.sources import FsspecSources
from control_plane.ports.sources import Found, Settled, SourceRefusedError, Sources


class AnySource:
    """Files below the allowed roots, and where a tracking server is named MLflow's registry."""

    def __init__(self, files: FsspecSources, mlflow: MlflowSources | None = None) -> None:
        self._files = files
        self._mlflow = mlflow

    def settle(self, source: str) -> Settled:
        return self._of(source).settle(source)

    def open(self, source: str, *, framework: str = "") -> AbstractContextManager[Found]:
        return self._of(source).open(source, framework=framework)

    def _of(self, source: str) -> Sources:
        scheme = source.partition(":")[0]
        if scheme == "runs":
            raise SourceRefusedError(
                f"{source[:300]!r}: a run's files can change; register them "
                "(mlflow.register_model) and name models:/NAME/NUMBER, or push the file itself"
            )
        if scheme != SCHEME:
            return self._files
        if self._mlflow is None:
            raise SourceRefusedError(
                f"{source[:300]!r}: no MLflow is known here; the operator names its tracking "
                "server in NEREID_MLFLOW_TRACKING_URI"
            )
        return self._mlflow
