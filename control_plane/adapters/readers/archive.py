"""Unpacking an archive that nobody trusts, into a folder of its own.

Only plain files under plain names, each once; never more than a fixed count, size and ratio. The
sizes that an archive announces are not believed: what is written is counted.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from control_plane.adapters.readers.refusal import RefusedError
from control_plane.domain.registry.frameworks import MEMBER_RULE, is_member_name

MAX_MEMBERS = 1000
MAX_RATIO = 200
RATIO_FREE_BYTES = 64 << 20
"""Weights hardly shrink; small files may shrink as they like."""

_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def kind_of(path: Path) -> str | None:
    """`zip`, `tar`, or None for what is no archive (or one of PyTorch's own, which are zips)."""
    kind = looks_like(path)
    return None if kind == "zip" and _is_torch(path) else kind


def looks_like(path: Path) -> str | None:
    """`zip`, `tar`, or None, by the first bytes alone: nothing of it is parsed."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return "tar"
    return None


def unpack(path: str, target: str, max_bytes: int) -> dict[str, Any]:
    """Writes the members of an archive under `target`.

    Returns:
        `{"archive": False}`, or True with the members' names: there may be none.

    Raises:
        RefusedError: it is damaged, or holds what is not taken; the words name the member.
    """
    source, folder = Path(path), Path(target)
    kind = kind_of(source)
    if kind is None:
        return {"archive": False, "members": []}
    limit = min(max_bytes, RATIO_FREE_BYTES + MAX_RATIO * source.stat().st_size)
    try:
        members = _Members(folder, limit)
        for name, file in _zip_members(source) if kind == "zip" else _tar_members(source):
            members.write(name, file)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise RefusedError(f"the archive is damaged: {error}") from error
    except (NotImplementedError, UnicodeError, ValueError, OverflowError) as error:
        raise RefusedError(f"the archive cannot be read: {error}") from error
    except OSError as error:
        raise RefusedError(f"the archive cannot be unpacked: {error.strerror or error}") from error
    return {"archive": True, "members": members.names}


class _Members:
    """What was written so far, and what may not come any more."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.names: list[str] = []
        self._folder = folder
        self._left = max_bytes
        self._taken: set[str] = set()

    def write(self, name: str, source: IO[bytes]) -> None:
        if not is_member_name(name):
            raise RefusedError(f"the archive's member {name[:200]!r}: a name has {MEMBER_RULE}")
        # Two that differ in case only are one file on some disks.
        if name.lower() in self._taken:
            raise RefusedError(f"the archive's member {name!r} is there twice")
        self._taken.add(name.lower())
        self.names.append(name)
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as target:
                while chunk := source.read(_CHUNK):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise RefusedError(
                            f"the archive's member {name!r} grows beyond what such a file may "
                            f"hold: {MAX_RATIO} times its size, and an upload's limit"
                        )
                    target.write(chunk)
        except (FileExistsError, NotADirectoryError):
            raise RefusedError(
                f"the archive's member {name!r} is a file and a folder at once"
            ) from None


def _zip_members(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        _check_count(len(entries))
        for entry in entries:
            # `filename` has been cut at a NUL, and may have been put together anew.
            if entry.orig_filename != entry.filename or "\\" in entry.filename:
                raise RefusedError(
                    f"the archive's member {entry.orig_filename[:200]!r} hides its name"
                )
            mode = entry.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise RefusedError(f"the archive's member {entry.filename!r} is {_kind(mode)}")
            if entry.is_dir():
                _check_folder(entry.filename)
                continue
            if entry.flag_bits & _ENCRYPTED:
                raise RefusedError(f"the archive's member {entry.filename!r} is encrypted")
            if entry.compress_type not in _METHODS:
                raise RefusedError(
                    f"the archive's member {entry.filename!r} is packed by a method that is not "
                    "taken: use deflate, or none"
                )
            with archive.open(entry) as file:
                yield entry.filename, file


def _tar_members(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    # As a stream: nothing is read ahead of the member that is being written.
    with tarfile.open(source, "r|*") as archive:
        for count, entry in enumerate(archive, 1):
            _check_count(count)
            if entry.isdir():
                _check_folder(entry.name)
                continue
            if not entry.isreg() or entry.issparse():
                raise RefusedError(
                    f"the archive's member {entry.name[:200]!r} is {_tar_kind(entry)}"
                )
            file = archive.extractfile(entry)
            if file is None:
                raise RefusedError(f"the archive's member {entry.name[:200]!r} has no content")
            yield entry.name.removeprefix("./"), file


def _check_count(count: int) -> None:
    if count > MAX_MEMBERS:
        raise RefusedError(f"the archive has more than {MAX_MEMBERS} members")


def _check_folder(name: str) -> None:
    plain = name.removeprefix("./").rstrip("/")
    if plain not in ("", ".") and not is_member_name(plain):
        raise RefusedError(f"the archive's folder {name[:200]!r}: a name has {MEMBER_RULE}")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _tar_kind(entry: tarfile.TarInfo) -> str:
    for said, words in (
        (entry.issym(), "a symbolic link"),
        (entry.islnk(), "a hard link"),
        (entry.isfifo(), "a pipe"),
        (entry.isdev(), "a device"),
        (entry.issparse(), "a sparse file"),
    ):
        if said:
            return words
    return "no plain file"


def _is_torch(path: Path) -> bool:
    """PyTorch's own files are zips, too, with one of these members."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, UnicodeError, NotImplementedError, OSError):
        return False
    inner = {name.partition("/")[2] for name in names if "/" in name}
    return bool(inner & {"constants.pkl", "data.pkl", "archive_format", "code/__torch__.py"})
