"""One task of reading, in a process of its own: the request on standard input, the answer after it.

Nothing that can read a model is imported before the limits are set.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from control_plane.adapters.readers.refusal import RefusedError
from control_plane.adapters.sandbox.limits import Limits, NoSandboxError, enter

_TASKS = {
    "unpack": "control_plane.adapters.readers.archive",
    "read": "control_plane.adapters.readers.reading",
    "load": "control_plane.adapters.readers.loading",
}


def main() -> int:
    """Answers one request; what libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)
        json.dump(_answer(json.load(sys.stdin)), answer)
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        unlimited = enter(Limits.from_document(request["limits"]))
    except NoSandboxError as error:
        return {"unavailable": str(error)}
    task = request["task"]
    try:
        run = getattr(importlib.import_module(_TASKS[task]), task)
        return {"result": run(**request["arguments"]), "unlimited": unlimited}
    except RefusedError as refusal:
        return {"refused": str(refusal)[:2000]}
    except MemoryError:
        return {"refused": "reading it takes more memory than is allowed for it"}


if __name__ == "__main__":
    sys.exit(main())
