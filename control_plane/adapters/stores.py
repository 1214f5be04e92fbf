"""Which store of files stands where the settings say: a folder, or a bucket behind a cache."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from control_plane.adapters.artifact_cache import ArtifactCache
from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.s3.artifacts import BucketArtifactStore
from control_plane.adapters.s3.bucket import Bucket
from control_plane.adapters.s3.place import BucketPlace
from control_plane.ports.repository import ArtifactStore


def store_at(
    place: Path | BucketPlace,
    cache_root: Path,
    *,
    cache_bytes: int,
    owner: str,
    private: bool = False,
) -> ArtifactStore:
    """The store at a place.

    Args:
        cache_root, cache_bytes: where what came out of a bucket lies on this machine, and how much.
        owner: marks whose a bucket's prefix is.
        private: no other user of the machine may read what is in it.
    """
    if isinstance(place, Path):
        return FileArtifactStore(place, private=private)
    kept = ArtifactCache(cache_root, cache_bytes, private=private)
    return BucketArtifactStore(bucket_at(place, owner), kept)


@cache
def bucket_at(place: BucketPlace, owner: str) -> Bucket:
    """One for all who ask in this process: its connections are kept."""
    return Bucket(place, owner=owner)
