"""NVIDIA's perf_analyzer, with arguments of one's own: `python -m perf.perf_analyzer`."""

from __future__ import annotations

import os
import sys

from control_plane.adapters.perf_analyzer.binary import find


def main() -> int:
    """Replaces this process by perf_analyzer with the same arguments."""
    found = find()
    os.execve(found.binary, [str(found.binary), *sys.argv[1:]], found.environment)  # noqa: S606


if __name__ == "__main__":
    raise SystemExit(main())
