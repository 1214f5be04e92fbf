"""Reading a Python model without running it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from control_plane.adapters.readers.refusal import RefusedError

MAX_SOURCE_BYTES = 4 << 20

_CLASS = "TritonPythonModel"


def read_signature(path: Path, given: dict[str, Any] | None) -> dict[str, Any]:
    """The given signature, once the source is seen to be a model for Triton's Python backend.

    Raises:
        RefusedError: it is no Python, no such model, or nothing says what it takes and gives.
    """
    if path.stat().st_size > MAX_SOURCE_BYTES:
        raise RefusedError(f"model.py has more than {MAX_SOURCE_BYTES} bytes")
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise RefusedError(f"model.py is no Python: line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a NUL in it, or nested beyond measure
        raise RefusedError(f"model.py cannot be parsed: {error}") from error
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == _CLASS]
    if not classes:
        raise RefusedError(f"model.py defines no class {_CLASS}, which Triton looks for")
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    names = {n.name for n in classes[-1].body if isinstance(n, functions)}
    if "execute" not in names and not classes[-1].bases:
        raise RefusedError(f"{_CLASS} in model.py has no method execute")
    if given is None:
        raise RefusedError(
            "a Python model does not say what it takes and gives: name it as `signature` in the "
            "metadata, or add a config.pbtxt with input and output to the archive"
        )
    return given
