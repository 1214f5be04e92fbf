"""Where artifacts and recordings are kept: in folders here, or in buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.adapters.s3.place import BucketAddressError, BucketPlace

CACHE_BYTES = "NEREID_ARTIFACT_CACHE_BYTES"
_CACHE_BYTES = 50 << 30


class StoreSettingsError(ValueError):
    """What is set cannot be used; the words name the variable."""


@dataclass(frozen=True)
class Stores:
    """Where the files are.

    `artifacts` None: in the folder of the artifacts. The caches are for what comes out of a bucket,
    where there is one.
    """

    artifacts: BucketPlace | None
    artifact_cache: Path
    artifact_cache_bytes: int
    recordings: Path | BucketPlace
    recording_cache: Path


def stores(env: Mapping[str, str], home: Path) -> Stores:
    """What the environment says; where it says nothing, folders of NEREID_HOME.

    Raises:
        StoreSettingsError: it is no place where anything could be kept.
    """
    size = env.get(CACHE_BYTES) or str(_CACHE_BYTES)
    if not size.isdecimal():
        raise StoreSettingsError(f"{CACHE_BYTES}={size}: a whole number of bytes")
    recordings = env.get("NEREID_RECORDING_STORE") or str(home / "recordings")
    return Stores(
        artifacts=_bucket(env, "NEREID_ARTIFACT_STORE"),
        artifact_cache=Path(env.get("NEREID_ARTIFACT_CACHE") or home / "artifacts" / "cache"),
        artifact_cache_bytes=int(size),
        recordings=(_bucket(env, "NEREID_RECORDING_STORE") if "://" in recordings else None)
        or Path(recordings),
        # What callers sent: where Triton does not look, if this is elsewhere for that reason.
        recording_cache=Path(env.get("NEREID_RECORDING_CACHE") or home / "recordings" / "cache"),
    )


def _bucket(env: Mapping[str, str], variable: str) -> BucketPlace | None:
    said = env.get(variable, "").strip()
    if not said:
        return None
    try:
        return BucketPlace.of(said, env.get("NEREID_S3_ENDPOINT", "").strip())
    except BucketAddressError as error:
        raise StoreSettingsError(f"{variable}: {error}") from error
