"""One tracking server, with what a training job logged, for all tests of MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mlflow_server import LOG_DIGITS, TrackingServer


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path_factory.mktemp("mlflow") / "home")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def logged(mlflow: TrackingServer) -> dict[str, Any]:
    """What the job said: its run, and what its model answers."""
    said: dict[str, Any] = mlflow.run(LOG_DIGITS, str(mlflow.home / "elsewhere"))
    return said
