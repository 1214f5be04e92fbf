"""The telemetry of a database of its own, beside the records that each test rolls back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from control_plane import wiring
from control_plane.telemetry.migrate import migrate
from control_plane.telemetry.store import TelemetryStore, engine_url
from control_plane.telemetry.tables import metadata


@pytest.fixture(scope="session")
def telemetry_address(postgres: str) -> str:
    base = engine_url(postgres)
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as link:
        link.execute(sa.text("CREATE DATABASE shared_telemetry"))
    url = base.set(database="shared_telemetry").render_as_string(hide_password=False)
    migrate(url)
    return url


@pytest.fixture(scope="session")
def telemetry_store(telemetry_address: str) -> Iterator[TelemetryStore]:
    store = TelemetryStore(telemetry_address)
    store.keep_partitions((wiring.clock().now() - timedelta(days=1)).date())
    store.keep_partitions(wiring.clock().now().date())
    yield store
    store.dispose()


@pytest.fixture
def telemetry_there(telemetry_store: TelemetryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """For who only needs the tables to be there, whatever is in them."""
    monkeypatch.setattr(wiring, "telemetry", lambda: telemetry_store)


@pytest.fixture
def telemetry(
    telemetry_there: None, telemetry_store: TelemetryStore, telemetry_address: str
) -> Iterator[TelemetryStore]:
    """Empty before each test."""
    yield telemetry_store
    engine = sa.create_engine(engine_url(telemetry_address), poolclass=sa.NullPool)
    tables = ", ".join(str(table) for table in metadata.tables.values())
    with engine.begin() as link:
        link.execute(sa.text(f"TRUNCATE {tables}"))
