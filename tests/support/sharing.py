"""How several processes share a run: which tests stay together, and which begin first."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# These use one running stack: a second one costs more than it saves.
ON_THE_STACK = ("tests/e2e/", "tests/integration/mlflow/test_deployments.py")
# What begins late and takes long is waited for alone: the longest first, the quick last.
LINE = (
    *ON_THE_STACK,
    "tests/integration/backends/",
    "tests/chaos/",
    "tests/contract/",
    "tests/integration/",
)


def place_in_line(nodeid: str) -> tuple[int, str]:
    """Where a test stands in the line: by kind, then by file."""
    kind = next((i for i, start in enumerate(LINE) if nodeid.startswith(start)), len(LINE))
    return kind, nodeid.partition("::")[0]


class Shared(LoadFileScheduling):
    """Whole files go to a process, so that a module's fixtures are made once; in our order."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ON_THE_STACK):
            return "what uses the stack"
        return str(super()._split_scope(nodeid))
