"""`ports.sources.Sources` through fsspec: `file://` and `s3://`, below the operator's roots."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from botocore.exceptions import BotoCoreError

from control_plane.ports.sources import Found, Settled, SourceFailedError, SourceRefusedError

SCHEMES = ("file", "s3")


class FsspecSources:
    """Roots are addresses such as `file:///srv/models` and `s3://bucket/prefix`.

    `s3_endpoint` is the address of a store that speaks S3; empty: Amazon's. Its credentials are
    found as Amazon's own tools find them.
    """

    def __init__(self, roots: Sequence[str], s3_endpoint: str = "") -> None:
        self._roots = [root.rstrip("/") for root in roots if root]
        self._s3_endpoint = s3_endpoint
        for root in self._roots:
            _parts(root)

    def settle(self, source: str) -> Settled:
        self._check(source)
        return Settled(source)

    def _check(self, source: str) -> None:
        scheme, path = _parts(source)
        if scheme == "s3" and not self._below(scheme, path):
            raise self._outside(source)
        # A file's path is judged where it lies, once its links are followed: by `open`.
        if scheme == "file" and not any(root.startswith("file:") for root in self._roots):
            raise self._outside(source)

    @contextlib.contextmanager
    def open(self, source: str, *, framework: str = "") -> Iterator[Found]:
        with self._reached(source) as (system, path):
            facts = system.info(path)
            if facts["type"] != "file":
                raise SourceRefusedError(f"{source} is no file")
            with system.open(path, "rb", cache_type="readahead") as stream:
                yield Found(stream, int(facts["size"]), PurePosixPath(path).name)

    def names(self, source: str) -> dict[str, int]:
        """The files of a folder, with their sizes; errors as of `open`."""
        with self._reached(source) as (system, path):
            return {
                PurePosixPath(entry["name"]).name: int(entry["size"])
                for entry in system.ls(path, detail=True)
                if entry["type"] == "file"
            }

    @contextlib.contextmanager
    def _reached(self, source: str) -> Iterator[tuple[Any, str]]:
        """The file system and the path in it, once that is known to be allowed."""
        self._check(source)
        scheme, path = _parts(source)
        if scheme == "file":
            resolved = Path(path).resolve()
            if not self._below(scheme, str(resolved)):
                raise self._outside(source)
            path = str(resolved)
        try:
            yield self._system(scheme), path
        except (FileNotFoundError, IsADirectoryError) as error:
            raise SourceRefusedError(f"there is no file {source}") from error
        except PermissionError as error:
            raise SourceRefusedError(f"{source} may not be read from here: {error}") from error
        except (OSError, BotoCoreError) as error:
            raise SourceFailedError(f"{source} cannot be read: {error}") from error

    def _system(self, scheme: str) -> Any:
        if scheme == "file":
            return fsspec.filesystem("file")
        options = {"endpoint_url": self._s3_endpoint} if self._s3_endpoint else {}
        # A listing that was kept would show what was there before.
        return fsspec.filesystem(
            "s3",
            use_listings_cache=False,
            skip_instance_cache=True,
            client_kwargs=options,
            config_kwargs={"connect_timeout": 5, "retries": {"max_attempts": 2}},
        )

    def _below(self, scheme: str, path: str) -> bool:
        for root in self._roots:
            kind, place = _parts(root)
            if kind != scheme:
                continue
            if scheme == "file":
                place = str(Path(place).resolve())
            if PurePosixPath(path).is_relative_to(place) and path != place:
                return True
        return False

    def _outside(self, source: str) -> SourceRefusedError:
        roots = ", ".join(self._roots) or "none: the operator names them in NEREID_SOURCE_ROOTS"
        return SourceRefusedError(f"{source} lies below no root that is allowed here ({roots})")


def _parts(address: str) -> tuple[str, str]:
    """Scheme and path: of `s3://bucket/a/b` it is `bucket/a/b`.

    Raises:
        SourceRefusedError: it is no such address.
    """
    try:
        parsed = urlsplit(address)
    except ValueError as error:
        raise SourceRefusedError(f"{address[:200]!r} is no address: {error}") from error
    if parsed.scheme not in SCHEMES:
        raise SourceRefusedError(
            f"{address[:200]!r}: a source begins with upload:, file://, s3:// or models:/"
        )
    if parsed.query or parsed.fragment:
        raise SourceRefusedError(f"{address[:200]!r}: an address has neither ? nor # in it")
    if parsed.scheme == "file":
        if parsed.netloc not in ("", "localhost") or not parsed.path.startswith("/"):
            raise SourceRefusedError(f"{address[:200]!r}: write file:///path/of/the/file")
        path = unquote(parsed.path)
    else:
        path = parsed.netloc + parsed.path
    parts = path.strip("/").split("/")
    if not parsed.path.isprintable() or "\0" in path or any(p in ("", ".", "..") for p in parts):
        raise SourceRefusedError(f"{address[:200]!r}: a path has no empty parts, no . and no ..")
    return parsed.scheme, path
