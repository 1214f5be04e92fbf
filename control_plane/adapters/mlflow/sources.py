"""`ports.sources.Sources` for `models:/…`: versions of MLflow's registry."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, unquote, urlsplit

from control_plane.adapters.mlflow.address import read_address
from control_plane.adapters.mlflow.files import (
    DESCRIPTION,
    SUFFIXES,
    LoggedModel,
    Wanted,
    folder_of,
    only_file,
    pick,
    read_description,
)
from control_plane.adapters.mlflow.joined import Joined, Member, size_of
from control_plane.adapters.mlflow.origin import kept, metrics_of, provenance_of
from control_plane.adapters.mlflow.server import MlflowServer, RegisteredVersion
from control_plane.adapters.sources import FsspecSources
from control_plane.ports.sources import Found, Settled, SourceRefusedError, Told

MAX_DESCRIPTION_BYTES = 1 << 20
_CHUNK = 1 << 20


class MlflowSources:
    """Versions of one tracking server's registry.

    Artifacts that the server passes on come from it; those that lie elsewhere come by `direct`,
    from the places that the operator allows for any source.
    """

    def __init__(self, server: MlflowServer, direct: FsspecSources) -> None:
        self._server = server
        self._direct = direct

    def settle(self, source: str) -> Settled:
        asked = read_address(source)
        found = self._server.version(asked)
        named = {"mlflow_alias": asked.alias} if asked.alias else {}
        return Settled(str(found.address), tells_framework=True, provenance=named)

    @contextlib.contextmanager
    def open(self, source: str, *, framework: str = "") -> Iterator[Found]:
        version = self._server.version(read_address(source))
        address = self._server.place(version.address)
        place = self._place(address, source)
        wanted, model = self._wanted(place, framework, source)
        signature = model.signature if wanted.framework == "pytorch" and model else None
        told = Told(wanted.framework, signature, *self._origin(version, address))
        with _opened(place, wanted) as (stream, size, filename):
            yield Found(stream, size, filename, told)

    def _place(self, address: str, source: str) -> _Place:
        """Where the files lie, once that place is known to be allowed."""
        try:
            parsed = urlsplit(address)
        except ValueError as error:
            raise SourceRefusedError(f"MLflow keeps {source} at {address[:300]!r}") from error
        if parsed.scheme == "mlflow-artifacts":
            if parsed.netloc not in ("", self._server.host):
                raise SourceRefusedError(
                    f"MLflow keeps {source} at another server, {parsed.netloc}: artifacts come "
                    f"from {self._server.host} alone, or from a root of NEREID_SOURCE_ROOTS"
                )
            return _Passed(self._server, _plain(unquote(parsed.path), source))
        if parsed.scheme in ("", "file") and parsed.path.startswith("/"):
            path = parsed.path if parsed.scheme else quote(address)
            return _Direct(self._direct, f"file://{parsed.netloc}{path}".rstrip("/"))
        if parsed.scheme == "s3":
            return _Direct(self._direct, address.rstrip("/"))
        raise SourceRefusedError(
            f"MLflow keeps {source} at {address[:300]!r}: taken are artifacts that the tracking "
            "server passes on (mlflow-artifacts:), and s3:// and file:// below NEREID_SOURCE_ROOTS"
        )

    def _wanted(
        self, place: _Place, framework: str, source: str
    ) -> tuple[Wanted, LoggedModel | None]:
        suffix = PurePosixPath(place.path).suffix
        if suffix in SUFFIXES:  # registered from a single file
            return Wanted(framework or SUFFIXES[suffix], "", ""), None
        names = place.names("")
        if DESCRIPTION not in names:
            return only_file(names, framework, source), None
        with place.open(DESCRIPTION) as (file, _):
            text = file.read(MAX_DESCRIPTION_BYTES + 1)
        if len(text) > MAX_DESCRIPTION_BYTES:
            raise SourceRefusedError(f"the MLmodel of {source} is larger than any that is read")
        model = read_description(text, source)
        flavour, folder = folder_of(model, framework, source)
        folder = _plain(folder, source) if folder else ""
        there = place.names(folder) if folder else names
        return pick(model, flavour, folder, there, source), model

    def _origin(
        self, version: RegisteredVersion, address: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Figures and provenance."""
        said = {
            "mlflow_model": str(version.address),
            "mlflow_source": version.source,
            "mlflow_artifacts": address,
        }
        provenance = kept(said)
        run = self._server.run(version.run_id) if version.run_id else None
        if run is None:
            return {}, provenance
        made_by = kept({"run_id": version.run_id})
        return metrics_of(run), {**provenance, **made_by, **provenance_of(run)}


class _Place(Protocol):
    """A folder with artifacts, or a single file; paths are below it."""

    path: str

    def names(self, folder: str) -> dict[str, int]: ...

    def open(self, path: str) -> contextlib.AbstractContextManager[tuple[BinaryIO, int]]:
        """The content, and its size in bytes; 0: not said."""
        ...


class _Passed:
    """What the tracking server passes on."""

    def __init__(self, server: MlflowServer, path: str) -> None:
        self._server = server
        self.path = path

    def names(self, folder: str) -> dict[str, int]:
        return self._server.names(_below(self.path, folder))

    def open(self, path: str) -> contextlib.AbstractContextManager[tuple[BinaryIO, int]]:
        return self._server.open(_below(self.path, path))


class _Direct:
    """What lies in a store of its own, below an allowed root."""

    def __init__(self, sources: FsspecSources, address: str) -> None:
        self._sources = sources
        self.path = address

    def names(self, folder: str) -> dict[str, int]:
        return self._sources.names(_below(self.path, folder))

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[tuple[BinaryIO, int]]:
        with self._sources.open(_below(self.path, path)) as found:
            yield found.stream, found.size


@contextlib.contextmanager
def _opened(place: _Place, wanted: Wanted) -> Iterator[tuple[BinaryIO, int, str]]:
    """The model's file, or a tar of it and its external data: content, size, name."""
    if not wanted.beside:
        path = _below(wanted.folder, wanted.main)
        with place.open(path) as (stream, size):
            yield stream, size, wanted.main or PurePosixPath(place.path).name
        return
    sizes = place.names(wanted.folder)
    members = [
        Member(name, sizes[name], partial(_content, place, _below(wanted.folder, name)))
        for name in (wanted.main, *wanted.beside)
    ]
    with contextlib.closing(Joined(members)) as joined:
        stream = io.BufferedReader(joined, _CHUNK)
        yield stream, size_of(members), f"{PurePosixPath(wanted.main).stem}.tar"


@contextlib.contextmanager
def _content(place: _Place, path: str) -> Iterator[BinaryIO]:
    with place.open(path) as (stream, _):
        yield stream


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder and path else folder or path


def _plain(path: str, source: str) -> str:
    """A path of plain parts, which leads nowhere else."""
    parts = path.strip("/").split("/")
    if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise SourceRefusedError(f"MLflow keeps {source} at {path[:300]!r}, which is no plain path")
    return "/".join(parts)
