"""`ports.inspection.ModelInspector`: every look into a file is a fresh, limited process."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from control_plane.adapters.readers.archive import looks_like
from control_plane.adapters.sandbox.limits import Limits
from control_plane.adapters.sandbox.process import run_reader
from control_plane.domain.registry.allowed_parameters import in_force
from control_plane.domain.registry.frameworks import (
    CUSTOM,
    MAIN_FILES,
    SAVED_MODEL,
    UPLOADED_CONFIG,
    is_member_name,
)
from control_plane.domain.serving.details import MODEL_FOLDER, NO_DETAILS, Details, main_file
from control_plane.domain.signature import Signature
from control_plane.ports.inspection import Inspected, InvalidModelError

TIMEOUT_S = 180.0
"""For reading and for loading a model, each."""

UNPACK_TIMEOUT_S = 600.0

_SCRATCH_KEPT_S = 3600

CPU_LIMIT_S = 150
MEMORY_LIMIT_BYTES = 8 << 30
_UNPACK_MEMORY_BYTES = 1 << 30
_SCRATCH_FILE_BYTES = 64 << 20
"""What libraries may write for themselves while they load a model."""


class SandboxInspector:
    """Reads, unpacks and loads under `scratch`, which lies beside the artifacts."""

    def __init__(
        self, scratch: Path, *, max_bytes: int, memory_bytes: int = MEMORY_LIMIT_BYTES
    ) -> None:
        self._scratch = scratch
        self._max_bytes = max_bytes
        self._memory_bytes = memory_bytes

    @contextlib.contextmanager
    def inspect(
        self,
        path: Path,
        framework: str,
        declared: Signature | None = None,
        details: Details = NO_DETAILS,
    ) -> Iterator[Inspected]:
        with self._folder() as folder:
            unpacked = self._unpack(path, folder / "members")
            alone = unpacked is None
            members = _laid_out(_at_the_top(unpacked or {}, framework, details), framework)
            main = path if alone else _main(members, framework, details)
            said = self._run(
                "read",
                {
                    "main": str(main or ""),
                    "files": {name: str(member) for name, member in members.items()},
                    "framework": framework,
                    "declared": declared.to_document() if declared else None,
                    "allowed": str(in_force()),
                },
                folder,
                readable=(path, folder / "members"),
            )
            yield Inspected(
                signature=Signature.from_document(said["signature"]),
                files={details.default_model_filename or said["name"]: path} if alone else members,
                code=tuple(said["code"]),
                parameters=said["parameters"],
                model_config=said["model_config"],
            )

    def check_loads(
        self,
        files: Mapping[str, AbstractContextManager[Path]],
        framework: str,
        signature: Signature,
        golden: tuple[Mapping[str, Any], ...] = (),
        details: Details = NO_DETAILS,
    ) -> tuple[str, ...]:
        with self._folder() as folder:
            laid = folder / "model"
            laid.mkdir()
            for name, file in files.items():
                (laid / name).parent.mkdir(parents=True, exist_ok=True)
                with file as source:
                    _link_or_copy(source, laid / name)
            placed = {name: laid / name for name in files}
            answer = self._said(
                "load",
                {
                    "main": str(_main(placed, framework, details) or ""),
                    "libraries": [str(_library(placed, name)) for name in details.libraries],
                    "framework": framework,
                    "signature": signature.to_document(),
                    "golden": list(golden),
                },
                folder,
                readable=(laid,),
            )
            return answer.unlimited

    def _unpack(self, path: Path, target: Path) -> dict[str, Path] | None:
        """The members of an archive by name; None: the file is no archive."""
        target.mkdir()
        if looks_like(path) is None:
            return None
        limits = Limits(
            memory_bytes=_UNPACK_MEMORY_BYTES,
            cpu_s=int(UNPACK_TIMEOUT_S),
            file_bytes=self._max_bytes,
            readable=(path,),
            writable=(target,),
        )
        arguments = {"path": str(path), "target": str(target), "max_bytes": self._max_bytes}
        said = run_reader("unpack", arguments, limits, UNPACK_TIMEOUT_S).result
        return {name: target / name for name in said["members"]} if said["archive"] else None

    def _run(
        self, task: str, arguments: Mapping[str, Any], folder: Path, readable: tuple[Path, ...]
    ) -> Mapping[str, Any]:
        return self._said(task, arguments, folder, readable).result

    def _said(
        self, task: str, arguments: Mapping[str, Any], folder: Path, readable: tuple[Path, ...]
    ) -> Any:
        own = folder / "own"
        own.mkdir()
        limits = Limits(
            memory_bytes=self._memory_bytes,
            cpu_s=CPU_LIMIT_S,
            file_bytes=_SCRATCH_FILE_BYTES,
            readable=readable,
            writable=(own,),
        )
        return run_reader(task, arguments, limits, TIMEOUT_S)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        self._scratch.mkdir(parents=True, exist_ok=True)
        for left in self._scratch.iterdir():  # by inspections that were killed
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - _SCRATCH_KEPT_S:
                    shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _at_the_top(members: dict[str, Path], framework: str, details: Details) -> dict[str, Path]:
    """Members without the folder that an archive was made of, where everything is inside it."""
    tops = {name.partition("/")[0] for name in members}
    if len(tops) != 1 or not all("/" in name for name in members):
        return members
    [top] = tops
    own = {details.default_model_filename, *details.cc_model_filenames.values()}
    # Nobody knows what a custom backend looks for, and under which names.
    if top in own or (framework == CUSTOM and f"{top}/{UPLOADED_CONFIG}" not in members):
        return members
    return {name.partition("/")[2]: path for name, path in members.items()}


def _laid_out(members: dict[str, Path], framework: str) -> dict[str, Path]:
    """Members under the names that Triton looks for: a SavedModel may have come without its folder.

    Raises:
        InvalidModelError: a name would be too long there.
    """
    if framework != "tensorflow" or "saved_model.pb" not in members:
        return members
    top = {"saved_model.pb", "keras_metadata.pb", "fingerprint.pb"}
    inside = {name for name in members if "/" in name or name in top}
    found = {f"{SAVED_MODEL}/{n}" if n in inside else n: path for n, path in members.items()}
    for name in found:
        if not is_member_name(name):
            raise InvalidModelError(f"the archive's member {name[:200]!r}: its name is too long")
    return found


def _library(files: Mapping[str, Path], name: str) -> Path:
    """One of operators, which lies in the version's folder or beside it."""
    return files[name] if name in files else files[f"{MODEL_FOLDER}{name}"]


def _main(files: Mapping[str, Path], framework: str, details: Details) -> Path | None:
    """The model among the members of an archive; None: a backend of its own may need no file.

    Raises:
        InvalidModelError: there is none of the name that it has to have.
    """
    names = MAIN_FILES[framework]
    if framework == CUSTOM or details.default_model_filename or details.cc_model_filenames:
        names = (main_file(framework, details, files),)
    if names == ("",):
        return None
    found = [files[name] for name in names if name in files]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidModelError(f"the archive holds both {' and '.join(names)}: send one")
    raise InvalidModelError(
        f"the archive holds no {' or '.join(names)} at its top; it holds: "
        f"{', '.join(sorted(files)[:20]) or 'no file'}"
    )


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
