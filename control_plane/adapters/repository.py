"""A Triton model repository on this machine's disk."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from control_plane.adapters.published import PublishedFiles, digest_of, files_of
from control_plane.adapters.triton.pbtxt import config_text
from control_plane.adapters.warmup_files import warmup_files, warmup_paths
from control_plane.domain.names import is_physical_name, printable
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.domain.registry.frameworks import GOLDEN_FILE
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ArtifactStore,
    PrefixTakenError,
    read_artifact,
)

_STAGING = ".staging"
_PUBLISHED = ".published"
_DIGESTS = "digests.json"
_VERSION = "1/"
_CHUNK = 1 << 20
_STAGED_FOR_S = 6 * 3600.0
"""What was staged longer ago by a process that still runs was given up."""
_FICLONE = 0x40049409
"""Linux's request to share the blocks of a file until one of the two is written."""


class DiskRepository:
    """`ports.repository.ModelRepository` that copies artifacts and renames whole directories."""

    def __init__(self, root: Path, artifacts: ArtifactStore) -> None:
        self._root = root
        self._artifacts = artifacts
        self._published = PublishedFiles(root, root / _PUBLISHED, _may_be_there)

    def publish(self, directory: ModelDirectory, accelerator: str) -> None:
        target = self._root / directory.name
        immutable = is_physical_name(directory.name)
        if immutable and target.exists():
            # What is there is left alone to the last time stamp: Triton compares these.
            if not self._holds(target, directory, accelerator):
                raise PrefixTakenError(
                    f"{directory.name} is already published with another content"
                )
            if not self._published.is_known(directory.name):
                self._published.keep(directory.name, self._meant(directory, accelerator))
            return
        staged, digests = self._stage(directory, accelerator)
        try:
            if not target.exists():
                staged.rename(target)
            elif not _same_content(staged, target):
                if not _is_router(target):
                    raise PrefixTakenError(
                        f"{target} is there, and Nereid did not make it: move it away, or give "
                        "the endpoint another name"
                    )
                self._replace(staged, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        self._published.keep(directory.name, digests)
        if immutable:
            _sync(self._root)

    def republish(self, directory: ModelDirectory, accelerator: str) -> None:
        target = self._root / directory.name
        staged, digests = self._stage(directory, accelerator)
        try:
            if target.exists():
                self._replace(staged, target)
            else:
                staged.rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        self._published.keep(directory.name, digests)
        _sync(self._root)

    def differences(self, name: str) -> Sequence[str] | None:
        return self._published.differences(name)

    def is_ours(self, name: str) -> bool:
        return is_physical_name(name) or self._published.is_known(name)

    def remove(self, name: str) -> None:
        target = self._root / name
        if target.exists() and (is_physical_name(name) or _is_router(target)):
            trash = self._staging("removed")
            target.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)
        self._published.forget(name)

    def names(self) -> Sequence[str]:
        if not self._root.is_dir():
            return ()
        return sorted(path.name for path in self._root.iterdir() if path.name[0] != ".")

    def read(self, name: str, path: str) -> bytes:
        return (self._root / name / path).read_bytes()

    def clear_staging(self) -> Sequence[str]:
        """Drops what publications left that were cut off, and says what it was.

        Each process stages under its own id: what another one is staging stays.
        """
        staging = self._root / _STAGING
        if staging.is_symlink() or not staging.exists():  # where a link leads is none of ours
            return ()
        return [printable(entry.name) for entry in staging.iterdir() if _swept(entry)]

    def _staging(self, name: str) -> Path:
        staging = self._root / _STAGING
        staging.mkdir(parents=True, exist_ok=True)
        return staging / f"{name}-{os.getpid()}-{uuid.uuid4().hex}"

    def _stage(self, directory: ModelDirectory, accelerator: str) -> tuple[Path, dict[str, str]]:
        """A directory beside the others with all that was planned, and its files' digests."""
        staged = self._staging(directory.name)
        digests = dict(directory.links)
        try:
            config = config_text(directory.name, directory.variants[accelerator])
            # A model directory is never written again, so it has to be whole after a power
            # cut. A router's is written anew at every change and at every restore: waiting
            # for the disk would only delay the switch.
            durable = is_physical_name(directory.name)
            if durable:  # Triton wants the version's folder, whether anything is in it or not
                (staged / _VERSION).mkdir(parents=True)
            for path, text in {**_texts(directory), "config.pbtxt": config}.items():
                digests[path] = _write(staged / path, text.encode(), durable=durable)
            for path, sha256 in directory.links.items():
                copy = staged / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                self._copied(sha256, copy)
            if golden := directory.links.get(GOLDEN_FILE):
                examples = read_artifact(self._artifacts, golden)
                for path, data in warmup_files(directory.variants[accelerator], examples).items():
                    if path not in directory.links:
                        digests[path] = _write(staged / path, data, durable=durable)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        return staged, digests

    def _copied(self, sha256: str, copy: Path) -> None:
        """Copies a file out of the store.

        What was taken is read once more: a store that lost half of a file must not go unseen.
        """
        with self._artifacts.held(sha256) as source:
            _copy(source, copy)
            if digest_of(copy) != sha256:
                raise ArtifactDamagedError(
                    f"the artifact {sha256[:12]}… is damaged here: {source} has "
                    f"{source.stat().st_size} bytes of another content. "
                    f"{self._artifacts.spoilt(sha256)}"
                )

    def _meant(self, directory: ModelDirectory, accelerator: str) -> dict[str, str]:
        """What a directory consists of, with the digests that are known without reading it."""
        paths = {"config.pbtxt", *_texts(directory), *warmup_paths(directory.variants[accelerator])}
        return dict.fromkeys(paths, "") | dict(directory.links)

    def _holds(self, target: Path, directory: ModelDirectory, accelerator: str) -> bool:
        """Whether a directory that is there is the one that was meant."""
        wanted = {**_texts(directory)}
        wanted["config.pbtxt"] = config_text(directory.name, directory.variants[accelerator])
        there = files_of(target)
        # Directories of before digests were written down are read whole.
        digests = wanted.pop(_DIGESTS, "")
        said = there.pop(_DIGESTS).read_text() == digests if _DIGESTS in there else not digests
        # Warmup files follow from the configuration and the examples, which are compared.
        meant = self._meant(directory, accelerator).keys() - {_DIGESTS}
        if meant - there.keys() or not all(map(_is_models_own, there.keys() - meant)):
            return False
        if any(there[path].read_text(encoding="utf-8") != text for path, text in wanted.items()):
            return False
        return said or all(
            digest_of(there[path]) == sha256 for path, sha256 in directory.links.items()
        )

    def _replace(self, staged: Path, target: Path) -> None:
        """Swaps a router's directory for the new one.

        Between the two renames there is no such directory. Triton reads it only when it is
        told to load, and the node alone tells it, after this returns; a crash in between is
        mended by the restore at the node's start.
        """
        old = self._staging("replaced")
        target.rename(old)
        staged.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, content: bytes, *, durable: bool) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def _texts(directory: ModelDirectory) -> dict[str, str]:
    """What is written, with the digests of what is copied: nobody reads gigabytes to compare."""
    texts = dict(directory.texts)
    if directory.links:
        texts[_DIGESTS] = json.dumps(dict(sorted(directory.links.items())), indent=1) + "\n"
    return texts


def _copy(source: Path, copy: Path) -> None:
    """A file of its own, on disk when this returns; its blocks are shared where the disk can.

    No hard link: Triton takes a model for changed when the time of its files' inode is another,
    which a link made or removed anywhere sets, and loading a pipeline loads such members anew.
    """
    with source.open("rb") as given, copy.open("wb") as taken:
        try:
            fcntl.ioctl(taken, _FICLONE, given.fileno())
        except OSError:  # a file system that shares no blocks, or two of them
            shutil.copyfileobj(given, taken, _CHUNK)
        taken.flush()
        os.fsync(taken.fileno())
    copy.chmod(0o444)


def _same_content(one: Path, other: Path) -> bool:
    left, right = files_of(one), files_of(other)
    return left.keys() == right.keys() and all(
        left[path].read_bytes() == right[path].read_bytes() for path in left
    )


def _is_models_own(path: str) -> bool:
    """Whether a file that nobody published may be there: what a model writes beside its own.

    Python keeps its bytecode there, and a Python model may keep anything. Triton reads none of it.
    """
    return path.startswith(_VERSION)


def _may_be_there(name: str, path: str) -> bool:
    return is_physical_name(name) and _is_models_own(path)


def _is_router(target: Path) -> bool:
    """True when the directory is one of our routers, and so ours to replace."""
    config = target / "config.pbtxt"
    return config.is_file() and "nereid_endpoint" in config.read_text(errors="replace")


def _swept(entry: Path) -> bool:
    """Drops what was staged and given up; whether it did. No link is followed."""
    try:
        status = entry.lstat()
        pid = entry.name.rpartition("-")[0].rpartition("-")[2]
        young = time.time() - status.st_mtime < _STAGED_FOR_S
        if pid.isdecimal() and Path("/proc", pid).exists() and young:
            return False
        if not stat.S_ISDIR(status.st_mode):
            entry.unlink()
            return True
    except FileNotFoundError:  # published meanwhile
        return False
    shutil.rmtree(entry, ignore_errors=True)
    return True


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
