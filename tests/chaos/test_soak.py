"""The soak's own rules, and each of its works for a moment on two real servers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.chaos.memory import Growth, Held, growth_of, own_kib
from tests.chaos.soak import soak
from tests.support.ended_early import ended_by_a_signal


def _held(*mib: float) -> list[Held]:
    return [Held(float(at), held, 10, 2) for at, held in enumerate(mib)]


def test_a_process_that_was_warm_in_the_middle_is_flat() -> None:
    seen = growth_of("api", _held(50, 90, 100, 100, 101, 102), restarted=False)
    assert (seen.first, seen.middle, seen.last) == (50, 100, 101)
    assert seen.flat


@pytest.mark.parametrize(
    ("mib", "flat"),
    [
        ((10, 10, 13), True),
        ((10, 10, 13.1), False),
        ((200, 200, 206), True),
        ((200, 200, 206.1), False),
        ((200, 200, 150), True),
    ],
    ids=["3 MiB of little", "more than 3 MiB", "3 % of much", "more than 3 %", "less"],
)
def test_what_goes_on_growing_is_not(mib: tuple[float, ...], flat: bool) -> None:
    assert growth_of("worker", _held(*mib), restarted=False).flat is flat


def test_it_is_looked_at_at_rest() -> None:
    mib = [130] * 5 + [160] * 3 + [130] * 5 + [160] * 3 + [130] * 3 + [160] * 5
    assert growth_of("triton", _held(*mib), restarted=False).flat


def test_what_a_server_keeps_of_a_name_is_known() -> None:
    mib = _held(100, 100, 106)
    assert not growth_of("triton", mib, restarted=False).flat
    assert growth_of("triton", mib, restarted=False, names=333).flat


def test_what_lies_in_no_file_is_what_counts() -> None:
    before = own_kib(os.getpid(), shared=True)
    held = b"x" * (64 << 20)
    assert own_kib(os.getpid(), shared=True) - before > 60 << 10
    assert len(held) == 64 << 20


def test_a_run_that_is_told_to_end_does_so_as_by_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ended_by_a_signal():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("work", "much"), [("minutes", 0.4), ("publications", 3), ("storm", 5)])
def test_each_work_is_done_and_nothing_fails(tmp_path: Path, work: str, much: float) -> None:
    said: list[float] = []
    report, memory = soak(
        tmp_path / "home", work, much, servers=2, edge=False, every_s=1, report=said.append
    )
    assert report.requests > 0
    assert (report.failures, report.lost, report.left) == ([], [], [])
    assert said
    assert all(count > 0 for what, count in report.done.items() if what != "refused"), report.done
    assert {"triton", "api", "worker", "node"} <= memory.series().keys()
    assert all(isinstance(one, Growth) and one.last > 1 for one in report.growth)
