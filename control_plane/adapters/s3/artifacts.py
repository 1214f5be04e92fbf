"""The artifact store in a bucket, for API, workers and nodes that share no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from control_plane.adapters.artifact_cache import ArtifactCache
from control_plane.adapters.files_by_content import CUT_OFF_S, check_digest, check_expected
from control_plane.adapters.s3.bucket import Bucket
from control_plane.ports.repository import ArtifactMissingError

_ASKED_AT_ONCE = 16


class BucketArtifactStore:
    """`ports.repository.ArtifactStore` below one prefix: `<prefix>/sha256/ab/abcd…`.

    What is fetched is held against its digest before anybody sees it: who holds the bucket can
    withhold files, and cannot change one.

    Args:
        cache: what was fetched or sent, on this machine's disk.
    """

    def __init__(self, bucket: Bucket, cache: ArtifactCache) -> None:
        self._bucket = bucket
        self._cache = cache

    @property
    def place(self) -> str:
        return str(self._bucket.place)

    def add(self, stream: BinaryIO, expected_sha256: str | None = None) -> tuple[str, int]:
        self._bucket.own()
        with self._cache.spooled(stream) as (path, sha256, size):
            check_expected(sha256, expected_sha256)
            self._bucket.put(_key(sha256), path)
        return sha256, size

    def held(self, sha256: str) -> AbstractContextManager[Path]:
        def fetch(path: Path, announce: Callable[[int], None]) -> None:
            self._fetch(sha256, path, announce)

        return self._cache.held(sha256, fetch, self._bucket.place.url(_key(sha256)))

    def missing(self, digests: Iterable[str]) -> frozenset[str]:
        asked = list(digests)
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            sizes = pool.map(self._bucket.size, map(_key, asked))
            return frozenset(one for one, size in zip(asked, sizes, strict=True) if size is None)

    def spoilt(self, sha256: str) -> str:
        self._cache.drop(sha256)
        return f"It is fetched from {self._bucket.place.url(_key(sha256))} anew"

    def discard(self, sha256: str) -> None:
        self._bucket.own()
        self._bucket.delete(_key(sha256))
        self._cache.drop(sha256)

    def digests(self) -> Sequence[str]:
        names = (found.key.rpartition("/")[2] for found in self._bucket.listed("sha256/"))
        return sorted(name for name in names if len(name) == 64)

    def taken_at(self, sha256: str) -> datetime:
        moment = self._bucket.changed_at(_key(sha256))
        if moment is None:
            raise self._missing(sha256)
        return moment

    def clear_cut_off(self) -> None:
        self._cache.clear_cut_off()
        self._bucket.own()
        self._bucket.abort_cut_off(datetime.now(UTC) - timedelta(seconds=CUT_OFF_S))

    def check(self) -> None:
        self._bucket.check()

    def _fetch(self, sha256: str, path: Path, announce: Callable[[int], None]) -> None:
        key = _key(sha256)
        size = self._bucket.size(key)
        if size is None:
            self._bucket.check()  # a bucket that is not there has no object either
            raise self._missing(sha256)
        announce(size)
        try:
            self._bucket.fetch(key, path)
        except KeyError:
            raise self._missing(sha256) from None

    def _missing(self, sha256: str) -> ArtifactMissingError:
        return ArtifactMissingError(f"there is no object {self._bucket.place.url(_key(sha256))}")


def _key(sha256: str) -> str:
    check_digest(sha256)
    return f"sha256/{sha256[:2]}/{sha256}"
