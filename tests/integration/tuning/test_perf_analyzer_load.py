"""What reaches perf_analyzer, and what of its words is told: a program in its place shows both."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.perf_analyzer import load as module
from control_plane.adapters.perf_analyzer.binary import PerfAnalyzer
from control_plane.adapters.perf_analyzer.load import PerfAnalyzerLoad
from control_plane.domain.perf.request import (
    Input,
    Load,
    LoadKind,
    PerfRequest,
    Target,
    TargetKind,
)
from control_plane.ports.load import Aim, LoadFailedError

REPEATS_WHAT_IT_SENDS = """#!/bin/sh
while [ "$1" != "--input-data" ]; do shift; done
grep -rq Ada . && where="on disk"
echo "error: no such customer: $(cat "$2") $where"
exit 1
"""


def reason(monkeypatch: pytest.MonkeyPatch, folder: Path, sent: Input) -> str:
    """Why a run of the program failed that was to send `Ada`."""
    program = folder / "perf_analyzer"
    program.write_text(REPEATS_WHAT_IT_SENDS)
    program.chmod(0o700)
    monkeypatch.setattr(module, "find", lambda _: PerfAnalyzer(program))
    request = PerfRequest(
        target=Target(TargetKind.VERSION, "digits", 1),
        server="local",
        load=Load(LoadKind.CONCURRENCY, values=(1.0,)),
        input=sent,
        recording="morning" if sent is Input.RECORDING else "",
    )
    aim = Aim("digits.v1.aaaaaa", http="127.0.0.1:1", grpc="127.0.0.1:1", input_data="Ada")
    with pytest.raises(LoadFailedError) as failed:
        PerfAnalyzerLoad().measure(request, 1, aim, goes_on=lambda: True)
    return str(failed.value)


def test_what_is_sent_is_on_no_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = reason(monkeypatch, tmp_path, Input.GOLDEN)
    assert "no such customer: Ada" in said
    assert "on disk" not in said


def test_a_models_words_about_what_callers_sent_are_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = reason(monkeypatch, tmp_path, Input.RECORDING)
    assert "Ada" not in said
    assert "not kept" in said
