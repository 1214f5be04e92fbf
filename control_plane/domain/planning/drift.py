"""What somebody changed by hand on a server, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DriftKind(StrEnum):
    """What was changed."""

    FILES = "files"  # of a directory that Nereid published
    UNLOADED = "unloaded"  # what has to be loaded, by Triton's API
    CONFIGURATION = "configuration"  # loaded anew with another one, by Triton's API
    FOREIGN_MODEL = "foreign model"  # loaded, and none of Nereid's
    STRAY_DIRECTORY = "stray directory"  # in the repository, and none of Nereid's


@dataclass(frozen=True)
class Drift:
    """One thing that is not as Nereid left it.

    `subject` is the model or directory, `endpoints` whose it is. `put_right`: it is as it was;
    otherwise `problem` says why it is not, empty where it is only told of.
    """

    kind: DriftKind
    subject: str
    detail: str
    endpoints: tuple[str, ...] = ()
    put_right: bool = False
    problem: str = ""
