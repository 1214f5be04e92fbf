"""The one who speaks with S3: whole objects below one prefix, and errors in words."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as UnreachableError

from control_plane.adapters.s3.place import BucketPlace
from control_plane.ports.repository import ArtifactStoreFailedError

OWNER = "owner"
"""The object that says whose the prefix is."""

PART_BYTES = 32 << 20
"""A larger object is sent in such parts, several at once, and fetched in them; S3 takes 10,000."""

_COPY_BYTES = 5 << 30
"""What S3 copies in one request."""

_CONNECT_S, _ANSWER_S, _ATTEMPTS = 5, 30, 3
_AT_ONCE = 8

_GONE = frozenset(("404", "NoSuchKey", "NotFound", "NoSuchUpload"))
_REFUSED = frozenset(("401", "403"))
_RIGHTS = (
    "s3:ListBucket and s3:GetObject, and for API and workers s3:PutObject, s3:DeleteObject, "
    "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload"
)


@dataclass(frozen=True)
class Listed:
    """An object as a list shows it."""

    key: str
    size: int
    changed_at: datetime


class Bucket:
    """Objects by their keys, which are without the place's prefix.

    An object is visible when it is whole, and not before: S3 promises that, of parts as well.

    Args:
        owner: marks the control plane that this one belongs to. Two below one prefix would each
            collect what the other one needs: who writes or drops anything says `own` first, and
            the second one is refused.

    Raises, each of its methods:
        ArtifactStoreFailedError: the store is away, or refuses.
    """

    def __init__(self, place: BucketPlace, *, owner: str) -> None:
        self.place = place
        self._owner = owner
        self._owned = False

    def own(self) -> None:
        """Makes sure, once, that what is below the prefix is this control plane's."""
        if self._owned:
            return
        if self.read(OWNER) is None:
            self.write(OWNER, self._owner.encode())
        self._check_owner()
        self._owned = True

    def size(self, key: str) -> int | None:
        """The bytes of an object; None where there is none."""
        found = self._head(key)
        return None if found is None else int(found["ContentLength"])

    def changed_at(self, key: str) -> datetime | None:
        """When an object was written last; None where there is none."""
        found = self._head(key)
        moment: datetime | None = None if found is None else found["LastModified"]
        return moment

    def put(self, key: str, path: Path) -> None:
        """Makes an object of a file, or makes the one that is there young again.

        What is in an object of that key and size is taken for the same: keys are digests. A small
        one is simply written once more.
        """
        size = path.stat().st_size
        if size > PART_BYTES and self.size(key) == size:
            self._touch(key)
            return
        with self._asked(key):
            self._client.upload_file(
                str(path), self.place.bucket, self._full(key), Config=self._transfer(PART_BYTES)
            )

    def fetch(self, key: str, path: Path) -> None:
        """Writes an object to a file.

        Raises:
            KeyError: there is none.
        """
        try:
            with self._asked(key):
                self._client.download_file(
                    self.place.bucket, self._full(key), str(path), Config=self._transfer(PART_BYTES)
                )
        except _GoneError as error:
            raise KeyError(key) from error

    def read(self, key: str) -> bytes | None:
        """What is in an object that fits into memory; None where there is none."""
        try:
            with self._asked(key):
                found = self._client.get_object(Bucket=self.place.bucket, Key=self._full(key))
                with found["Body"] as body:
                    return bytes(body.read())
        except _GoneError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Makes an object of what is in memory."""
        with self._asked(key):
            self._client.put_object(Bucket=self.place.bucket, Key=self._full(key), Body=content)

    def delete(self, key: str) -> None:
        """Deletes an object; one that is not there is no error."""
        with contextlib.suppress(_GoneError), self._asked(key):
            self._client.delete_object(Bucket=self.place.bucket, Key=self._full(key))

    def listed(self, below: str) -> Iterator[Listed]:
        """The objects whose keys begin so."""
        with self._asked(below):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.place.bucket, Prefix=self._full(below)
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    key = str(found["Key"]).removeprefix(self.place.prefix)
                    yield Listed(key, int(found["Size"]), found["LastModified"])

    def abort_cut_off(self, before: datetime) -> None:
        """Drops the parts of objects that were begun before then, and never became one."""
        with contextlib.suppress(_GoneError), self._asked(""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.place.bucket, Prefix=self.place.prefix
            )
            for page in pages:
                for begun in page.get("Uploads", ()):
                    if begun["Initiated"] < before:
                        self._client.abort_multipart_upload(
                            Bucket=self.place.bucket, Key=begun["Key"], UploadId=begun["UploadId"]
                        )

    def check(self) -> None:
        """Nothing, where the bucket is there, lets itself be looked into, and is not another's."""
        with self._asked(""):
            self._client.list_objects_v2(
                Bucket=self.place.bucket, Prefix=self.place.prefix, MaxKeys=1
            )
        self._check_owner()

    def _check_owner(self) -> None:
        said = self.read(OWNER)
        if said is not None and said != self._owner.encode():
            raise ArtifactStoreFailedError(
                f"{self.place} belongs to another Nereid ({self.place.url(OWNER)} says "
                f"{said[:32].decode('utf-8', 'replace')!r}, this one is {self._owner!r}, a mark of "
                "its NEREID_SECRET_KEY): give this one a prefix of its own. Where there is no "
                "other any more, delete that object"
            )

    def _touch(self, key: str) -> None:
        whole = {"Bucket": self.place.bucket, "Key": self._full(key)}
        with self._asked(key):
            self._client.copy(
                whole,
                self.place.bucket,
                self._full(key),
                ExtraArgs={"MetadataDirective": "REPLACE"},  # else S3 refuses a copy onto itself
                Config=self._transfer(_COPY_BYTES),
            )

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            with self._asked(key):
                found: dict[str, Any] = self._client.head_object(
                    Bucket=self.place.bucket, Key=self._full(key)
                )
                return found
        except _GoneError:
            return None

    def _full(self, key: str) -> str:
        return f"{self.place.prefix}{key}"

    @cached_property
    def _client(self) -> Any:
        with _making:
            return _session().client(
                "s3",
                endpoint_url=self.place.endpoint or None,
                config=Config(
                    connect_timeout=_CONNECT_S,
                    read_timeout=_ANSWER_S,
                    retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                    max_pool_connections=2 * _AT_ONCE,
                ),
            )

    def _transfer(self, part_bytes: int) -> Any:
        from boto3.s3.transfer import TransferConfig

        return TransferConfig(
            multipart_threshold=part_bytes,
            multipart_chunksize=min(part_bytes, 1 << 30),
            max_concurrency=_AT_ONCE,
            preferred_transfer_client="classic",
        )

    @contextlib.contextmanager
    def _asked(self, key: str) -> Iterator[None]:
        """Says in words what goes wrong.

        Raises:
            _GoneError: there is no such object.
        """
        from boto3.exceptions import Boto3Error

        try:
            yield
        except ClientError as error:
            if _code(error) in _GONE:
                raise _GoneError(key) from error
            raise self._failed(self._refusal(error)) from error
        except Boto3Error as error:
            refused = error.__cause__ or error.__context__
            if isinstance(refused, ClientError):
                raise self._failed(self._refusal(refused)) from error
            raise self._failed(f"{self._what(key)}: {error}") from error
        except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
            raise self._failed(
                f"{error}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and "
                "AWS_SHARED_CREDENTIALS_FILE"
            ) from error
        except (UnreachableError, HTTPClientError) as error:
            raise self._failed(
                f"{error}. Is it running, and does NEREID_S3_ENDPOINT name it?"
            ) from error
        except BotoCoreError as error:
            raise self._failed(f"{self._what(key)}: {error}") from error

    def _refusal(self, error: ClientError) -> str:
        code, said = _code(error), str(error.response.get("Error", {}).get("Message") or "")
        if code == "NoSuchBucket":
            return f"there is no bucket {self.place.bucket}: make it, or name the one that is there"
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if status in _REFUSED:
            return (
                f"refused ({code}: {said or 'no reason given'}) {error.operation_name}: look "
                f"whether the credentials are right and allow {_RIGHTS} there"
            )
        return f"{error.operation_name} failed with {code}: {said}"

    def _what(self, key: str) -> str:
        return self.place.url(key) if key else str(self.place)

    def _failed(self, why: str) -> ArtifactStoreFailedError:
        at = f" at {self.place.endpoint}" if self.place.endpoint else ""
        return ArtifactStoreFailedError(f"the bucket of {self.place}{at}: {why}")


_making = threading.Lock()
"""Clients may be used by threads, a session may not."""


@cache
def _session() -> Any:
    """One a process: what it knows of S3 takes half a second to read."""
    # Imported where it is used: it takes a fifth of a second, and most processes have no bucket.
    import boto3

    return boto3.session.Session()


class _GoneError(LookupError):
    """There is no such object."""


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code") or "")
