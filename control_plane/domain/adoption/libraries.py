"""Libraries of operators that a configuration names: which of the model's own files they are.

Backends hand such a path to the system's loader, so it is absolute, or begins where Triton was
started: `/models/scaler/1/ops.so`, `scaler/ops.so`, `ops.so`. Here it is one of the files that come
with the version, whose name is what the path ends with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from control_plane.domain.violations import Violation

_WHERE = "/model_operations/op_library_filename"


def with_libraries(
    values: Mapping[str, Any],
    files: Collection[str],
    beside: Collection[str] | None,
    found: list[Violation],
) -> dict[str, Any]:
    """The configuration with each library by its place in the version's folder, or beside it.

    Args:
        files: of the version's folder.
        beside: in the model's directory, beside the versions; None: nobody knows.
        found: is told of what is not among them: a library from elsewhere is none of the model's.
    """
    said = values.get("model_operations", {}).get("op_library_filename", ())
    if not said:
        return dict(values)
    there = {*files, *(beside or ())}
    kept = []
    for i, path in enumerate(map(str, said)):
        parts = path.split("/")
        ends = ["/".join(parts[at:]) for at in range(len(parts))]
        name = next((end for end in ends if end in there), "")
        if not name and beside is not None:
            detail = (
                f"the library {path[:200]!r} is no file of the model: put it into the version's "
                "folder, or beside the folders"
            )
            found.append(Violation(f"{_WHERE}/{i}", "missing_file", detail))
        kept.append(name or parts[-1])
    return {**values, "model_operations": {"op_library_filename": kept}}
