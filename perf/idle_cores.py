"""What it costs a request that a virtual machine puts an idle core to sleep at once.

    python -m perf.idle_cores [--rounds 10] [--seconds 1] [--poll-us 200]

An endpoint with the tiny network of `make bench`, asked by 1 and by 8 callers that each wait for
their answer, in turns: with idle cores put to sleep at once, and with idle cores that look for work
for so long first. That is the setting `guest_halt_poll_ns` of Linux's cpuidle driver haltpoll
(https://docs.kernel.org/virt/guest-halt-polling.html). It is the machine's, and so are the rights
to set it: root's. What it was before is put back at the end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perf.paired import estimate
from perf.peers.contenders import Nereid, served
from perf.peers.load import Measured, measure
from perf.peers.networks import TINY

SETTING = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
POLL_US = 200
CALLERS = (1, 8)
WARM_S = 2.0


@contextmanager
def polling(microseconds: int) -> Iterator[None]:
    """Idle cores look for work for so long before they sleep.

    Raises:
        OSError: this machine has no such setting, or only root may set it.
    """
    before = SETTING.read_text()
    SETTING.write_text(str(1000 * microseconds))
    try:
        yield
    finally:
        SETTING.write_text(before)


def told() -> str:
    """How long idle cores of this machine look for work, in words."""
    try:
        return f"idle cores look for work for {int(SETTING.read_text()) // 1000} µs"
    except OSError:
        return "how idle cores wait is the machine's own affair"


def compare(rounds: int, seconds: float, poll_us: int) -> None:
    """Measures, and prints a line for each setting and their ratio.

    Raises:
        OSError: the setting cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="nereid-idle-") as folder:
        model = Path(folder) / "model.onnx"
        TINY.write(model)
        with served(TINY, model) as server:
            asked = Nereid(server, TINY, binary=True, routed=True).asked
            measure(asked, max(CALLERS), WARM_S)
            for callers in CALLERS:
                found: dict[int, list[Measured]] = {0: [], poll_us: []}
                for _ in range(rounds):
                    for microseconds, series in found.items():
                        with polling(microseconds):
                            series.append(measure(asked, callers, seconds))
                _show(callers, found)


def _show(callers: int, found: dict[int, list[Measured]]) -> None:
    for microseconds, series in found.items():
        rate, p50, p99 = (
            statistics.median(getattr(one, what) for one in series)
            for what in ("rate", "p50_us", "p99_us")
        )
        print(
            f"{callers} callers, {microseconds:3} µs: {rate:7,.0f} answers/s, "
            f"p50 {p50 / 1e3:.2f} ms, p99 {p99 / 1e3:.2f} ms"
        )
    asleep, awake = found.values()
    for what in ("rate", "p50_us", "p99_us"):
        pairs = zip(asleep, awake, strict=True)
        ratio = estimate([getattr(b, what) / getattr(a, what) for a, b in pairs])
        print(f"   {what}: x {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")


def main() -> int:
    """Runs the benchmark; 1 where the setting is not to be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    parser.add_argument("--poll-us", type=int, default=POLL_US)
    arguments = parser.parse_args()
    try:
        compare(arguments.rounds, arguments.seconds, arguments.poll_us)
    except OSError as error:
        print(f"{error}: this needs a virtual machine with haltpoll, and root", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
