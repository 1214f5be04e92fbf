"""Where files are kept, as the environment says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.s3.place import BucketPlace
from control_plane.settings.stores import StoreSettingsError, stores

HOME = Path("/home/nereid")


def test_nothing_said_is_two_folders_of_the_home() -> None:
    for env in ({}, dict.fromkeys(("NEREID_ARTIFACT_STORE", "NEREID_RECORDING_STORE"), "")):
        found = stores(env, HOME)
        assert (found.artifacts, found.recordings) == (None, HOME / "recordings")
        assert found.artifact_cache == HOME / "artifacts/cache"
        assert found.artifact_cache_bytes == 50 << 30


def test_buckets_and_their_caches() -> None:
    found = stores(
        {
            "NEREID_ARTIFACT_STORE": "s3://models/live/team/",
            "NEREID_RECORDING_STORE": "s3://recordings",
            "NEREID_S3_ENDPOINT": "http://minio:9000/",
            "NEREID_ARTIFACT_CACHE": "/mnt/cache",
            "NEREID_ARTIFACT_CACHE_BYTES": "1000",
            "NEREID_RECORDING_CACHE": "/mnt/recordings",
        },
        HOME,
    )
    assert found.artifacts == BucketPlace("models", "live/team/", "http://minio:9000")
    assert found.recordings == BucketPlace("recordings", "", "http://minio:9000")
    assert (str(found.artifacts), str(found.recordings)) == (
        "s3://models/live/team",
        "s3://recordings",
    )
    assert found.artifacts.url("owner") == "s3://models/live/team/owner"
    assert (found.artifact_cache, found.artifact_cache_bytes) == (Path("/mnt/cache"), 1000)
    assert found.recording_cache == Path("/mnt/recordings")


@pytest.mark.parametrize(
    "address",
    [
        *("/srv/artifacts", "file:///srv", "https://models/live", "s3://", "s3://m", "s3:models"),
        *("s3://Models/x", "s3://models//x", "s3://models/../x", "s3://models/a b", "s3://m_d/x"),
        *("s3://models/x?versionId=1", "s3://key:secret@models/x", "s3://models/größe"),
    ],
)
def test_what_is_no_bucket_is_refused_by_its_variable(address: str) -> None:
    with pytest.raises(StoreSettingsError, match="NEREID_ARTIFACT_STORE: ") as told:
        stores({"NEREID_ARTIFACT_STORE": address}, HOME)
    assert "secret@" not in str(told.value)


@pytest.mark.parametrize("said", ["50 GiB", "-1", "1e9"])
def test_a_bound_is_a_number_of_bytes(said: str) -> None:
    with pytest.raises(StoreSettingsError, match="NEREID_ARTIFACT_CACHE_BYTES="):
        stores({"NEREID_ARTIFACT_CACHE_BYTES": said}, HOME)
