"""What is worth knowing before something is applied; none of it is forbidden."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something worth knowing before a change is applied.

    `severity` is error (it will not do what it says), warning (look twice) or info; `code` is a
    stable word for programs and for `docs/lint.md`, `detail` says why, `fix` what to do, `pointer`
    is where in the document.
    """

    severity: str
    code: str
    detail: str
    pointer: str = ""
    fix: str = ""
