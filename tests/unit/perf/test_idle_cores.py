"""The machine's setting is what it was, whatever became of the measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf import idle_cores


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "guest_halt_poll_ns"
    file.write_text("50000\n")
    monkeypatch.setattr(idle_cores, "SETTING", file)
    return file


def test_idle_cores_look_for_work_for_so_long_and_then_as_before(setting: Path) -> None:
    with idle_cores.polling(200):
        assert setting.read_text() == "200000"
        assert idle_cores.told() == "idle cores look for work for 200 µs"
    assert setting.read_text() == "50000\n"


def test_a_measurement_that_fails_leaves_it_as_it_was(setting: Path) -> None:
    with pytest.raises(RuntimeError), idle_cores.polling(0):
        raise RuntimeError
    assert setting.read_text() == "50000\n"


def test_a_machine_without_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_cores, "SETTING", tmp_path / "neither" / "here")
    assert "machine's own" in idle_cores.told()
    with pytest.raises(FileNotFoundError), idle_cores.polling(200):
        pytest.fail("nothing was set")
