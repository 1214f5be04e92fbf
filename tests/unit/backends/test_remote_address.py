"""The file of a model that a process serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.domain.registry.remote import RemoteModel
from tests.support.python_based import imported

remote_address = imported("remote_address", "remote")
settings = imported("settings", "remote")


def test_the_backend_reads_what_the_registry_writes(tmp_path: Path) -> None:
    path = tmp_path / "remote.json"
    path.write_bytes(RemoteModel("::1", 8001, "double").to_file())
    found = remote_address.read_address(path)
    assert (found.address, found.model, found.timeout_s) == ("[::1]:8001", "double", 30.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "names no process"),
        ("[]", "names no process"),
        ('{"address": "a:1"}', "names no process: KeyError"),
        ('{"address": "a:1", "model": "m", "timeout_s": 0}', "timeout_s is above 0"),
    ],
)
def test_what_names_no_process_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "remote.json"
    path.write_text(text)
    with pytest.raises(settings.SettingError, match=reason):
        remote_address.read_address(path)
