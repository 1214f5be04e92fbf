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
from control_plane.domain.planning.readiness import Wanted

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
        self._wanted = root / "wanted.json"
        self._loaded = root / "loaded"
        self._seen: dict[str, tuple[tuple[int, ...], EndpointState]] = {}
        self._endpoints.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(parents=True, exist_ok=True)
        self._loaded.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Holds a lock by that name against every process of this node.

        The kernel drops it with the process, so a kill leaves no lock behind.
        """
        with (self._locks / f"{name}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def is_locked(self, name: str) -> bool:
        """Whether somebody holds that lock at this moment."""
        with (self._locks / f"{name}.lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def read(self, endpoint: str) -> EndpointState:
        """The state of one endpoint; a fresh one where nothing is known.

        A file that cannot be read (a disk that failed, a format of long ago) is put aside and
        counts as nothing known: one endpoint's trouble must not stop the others, and the next
        command for it writes the file anew. Until it is switched again it is among the `lost`.
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
            aside = self._aside(endpoint)
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
        _replace(self._path(endpoint), document)
        if state.desired:
            self.found_again(endpoint)

    def lost(self) -> list[str]:
        """The endpoints whose state could not be read: nobody knows here what they need."""
        return sorted(path.stem for path in self._endpoints.glob("*.unreadable"))

    def found_again(self, endpoint: str) -> None:
        """What the endpoint needs is known again, or it needs nothing any more."""
        self._aside(endpoint).unlink(missing_ok=True)

    def all(self) -> dict[str, EndpointState]:
        """Every endpoint this node knows, by name."""
        return {p.stem: self.read(p.stem) for p in sorted(self._endpoints.glob("*.json"))}

    def seen(self) -> dict[str, EndpointState]:
        """The same for whoever looks often: a file that did not change is not read again.

        A change in the same moment may be missed until the next one, so nothing that must be
        certain (a fence, what a retire spares) is decided by it.
        """
        found: dict[str, EndpointState] = {}
        for path in sorted(self._endpoints.glob("*.json")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            mark = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._seen.get(path.stem)
            if known is None or known[0] != mark:
                known = (mark, self.read(path.stem))
                self._seen[path.stem] = known
            found[path.stem] = known[1]
        return found

    def keep_wanted(self, wanted: Wanted) -> None:
        """Keeps what the control plane wants of this server; on disk before this returns."""
        _replace(self._wanted, wanted.to_document())

    def wanted(self) -> Wanted | None:
        """What it was last said to want; None where nothing is known."""
        try:
            return Wanted.from_document(json.loads(self._wanted.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("%s cannot be read (%s): nothing is known", self._wanted, error)
            return None

    def note_loaded(self, name: str, config: str) -> None:
        """Notes the digest of the configuration that Triton serves a model with."""
        (self._loaded / name).write_text(config)

    def loaded(self, name: str) -> str | None:
        """What was noted; None where nothing was."""
        try:
            return (self._loaded / name).read_text()
        except FileNotFoundError:
            return None

    def forget_loaded(self, name: str) -> None:
        (self._loaded / name).unlink(missing_ok=True)

    def _aside(self, endpoint: str) -> Path:
        return self._path(endpoint).with_suffix(".unreadable")

    def _path(self, endpoint: str) -> Path:
        return self._endpoints / f"{endpoint}.json"


def _replace(path: Path, document: dict[str, Any]) -> None:
    draft = path.with_suffix(f".{os.getpid()}.draft")
    with draft.open("w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _plan(document: dict[str, Any] | None) -> Plan | None:
    return None if document is None else Plan.from_document(document)


def _document(plan: Plan | None) -> dict[str, Any] | None:
    return None if plan is None else plan.to_document()
