"""What a node remembers on its own disk, so that it can serve with everything else down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.domain.planning.plan import Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EndpointState:
    """One endpoint on one node.

    `highest` is the fence: the highest generation any command carried. `desired` serves,
    `previous` served before and stays loaded, `preparing` is on its way.
    """

    highest: int = 0
    desired: Plan | None = None
    previous: Plan | None = None
    preparing: Plan | None = None

    @property
    def needed(self) -> frozenset[str]:
        """The physical models that must not be unloaded."""
        plans = [p for p in (self.desired, self.previous, self.preparing) if p]
        return frozenset().union(*(plan.physical_names for plan in plans))


class NodeState:
    """Endpoint states as one JSON file each under `root`, written atomically."""

    def __init__(self, root: Path) -> None:
        self._endpoints = root / "endpoints"
        self._locks = root / "locks"
        self._endpoints.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Holds a lock by that name against every process of this node.

        The kernel drops it with the process, so a kill leaves no lock behind.
        """
        with (self._locks / f"{name}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def read(self, endpoint: str) -> EndpointState:
        """The state of one endpoint; a fresh one where nothing is known.

        A file that cannot be read (a disk that failed, a format of long ago) is put aside and
        counts as nothing known: one endpoint's trouble must not stop the others, and the next
        command for it writes the file anew.
        """
        path = self._path(endpoint)
        try:
            document = json.loads(path.read_text())
            return EndpointState(
                highest=int(document["highest"]),
                desired=_plan(document["desired"]),
                previous=_plan(document["previous"]),
                preparing=_plan(document["preparing"]),
            )
        except FileNotFoundError:
            return EndpointState()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            aside = path.with_suffix(".unreadable")
            path.replace(aside)
            logger.error("the state of %s cannot be read (%s); kept as %s", endpoint, error, aside)
            return EndpointState()

    def write(self, endpoint: str, state: EndpointState) -> None:
        """Replaces the state of one endpoint; on disk before this returns."""
        document = {
            "highest": state.highest,
            "desired": _document(state.desired),
            "previous": _document(state.previous),
            "preparing": _document(state.preparing),
        }
        path = self._path(endpoint)
        draft = path.with_suffix(f".{os.getpid()}.draft")
        with draft.open("w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def all(self) -> dict[str, EndpointState]:
        """Every endpoint this node knows, by name."""
        return {p.stem: self.read(p.stem) for p in sorted(self._endpoints.glob("*.json"))}

    def _path(self, endpoint: str) -> Path:
        return self._endpoints / f"{endpoint}.json"


def _plan(document: dict[str, Any] | None) -> Plan | None:
    return None if document is None else Plan.from_document(document)


def _document(plan: Plan | None) -> dict[str, Any] | None:
    return None if plan is None else plan.to_document()
