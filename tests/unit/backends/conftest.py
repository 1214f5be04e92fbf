"""The native library is built before the first test: hypothesis times each example."""

from __future__ import annotations

import pytest

from tests.support.routing_parts import parts


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    parts()
