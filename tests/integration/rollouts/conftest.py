"""Rollouts among nodes whose Tritons are in memory, with the real database and telemetry store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from django.contrib.auth.models import User

from control_plane.endpoints.services import create_endpoint
from control_plane.telemetry.migrate import migrate
from control_plane.telemetry.store import TelemetryStore
from control_plane.telemetry.tables import metadata
from control_plane.wiring import print_config
from tests.integration.rollouts.stage import Stage


@pytest.fixture(scope="session")
def telemetry_store(postgres: str) -> Iterator[TelemetryStore]:
    """The store in the throw-away PostgreSQL, beside the registry's database."""
    migrate(postgres)
    store = TelemetryStore(postgres)
    yield store
    store.dispose()


@pytest.fixture
def stage(tmp_path: Path, db: Any, telemetry_store: TelemetryStore) -> Stage:
    """Two servers with `digits` version 1 serving, and two people."""
    with telemetry_store._engine.begin() as fresh:  # the clock begins anew as well
        for table in metadata.sorted_tables:
            fresh.execute(sa.delete(table))
    stage = Stage(tmp_path, telemetry_store, "a", "b")
    create_endpoint(name="digits", actor="ada", queue=stage, print_config=print_config)
    for name in ("ada", "bo"):
        User.objects.create_user(name)
    stage.policy(100)
    stage.settle(1)
    return stage
