"""The sample's endpoint: when it is asked, and when it is given up."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from nereid.resources import Endpoint
from stack import sample
from tests.support.control_plane_answers import endpoint


class OneEndpoint:
    """A client that has this endpoint to tell of."""

    def __init__(self, **changes: Any) -> None:
        self._found = Endpoint.from_json(endpoint(**changes))

    def endpoint(self, name: str) -> Endpoint:
        return self._found


def waited(monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, Any]]) -> tuple[Endpoint, str]:
    monkeypatch.setattr(sample, "PATIENCE_S", 0)
    out = Console(file=io.StringIO(), width=100)
    client: Any = OneEndpoint(status="Degraded", reason="not reachable: local-2", servers=parts)
    found = sample._wait_healthy(client, out)
    return found, out.file.getvalue()  # type: ignore[attr-defined]


def test_a_server_that_did_not_start_again_is_said_and_the_other_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = [{"server": "local", "status": "Serving"}, {"server": "local-2", "status": "Unknown"}]
    found, said = waited(monkeypatch, parts)
    assert found.name == "digits"
    assert "is Degraded: not reachable: local-2" in said


def test_where_no_server_serves_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(sample.SampleFailedError, match="not reachable"):
        waited(monkeypatch, [{"server": "local", "status": "Failed"}])
