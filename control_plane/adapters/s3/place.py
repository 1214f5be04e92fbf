"""Where in which bucket: read from an address, and from nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PART = re.compile(r"[A-Za-z0-9!_.*'()-]+")
"""What Amazon calls safe in a key; nothing of it is encoded on its way."""


class BucketAddressError(ValueError):
    """It is no such address; the message says what is, and names no variable."""


@dataclass(frozen=True)
class BucketPlace:
    """A bucket and the prefix of our keys in it, which is empty or ends with a slash.

    `endpoint` is the address of a store that speaks S3; empty: Amazon's.
    """

    bucket: str
    prefix: str
    endpoint: str = ""

    @classmethod
    def of(cls, address: str, endpoint: str = "") -> BucketPlace:
        """What `s3://bucket/prefix` means.

        Raises:
            BucketAddressError: it is something else.
        """
        if "@" in address or "@" in endpoint:
            raise BucketAddressError(
                "an address of a bucket holds no credentials: they stand in AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or in the file that AWS_SHARED_CREDENTIALS_FILE names"
            )
        scheme, _, rest = address.partition("://")
        bucket, _, prefix = rest.rstrip("/").partition("/")
        parts = prefix.split("/") if prefix else []
        if scheme != "s3" or not _BUCKET.fullmatch(bucket):
            raise BucketAddressError(f"{address!r} is no s3://bucket/prefix")
        if not all(_PART.fullmatch(part) and part not in (".", "..") for part in parts):
            raise BucketAddressError(
                f"{address!r}: a prefix is of letters, digits and ! _ . * ' ( ) -, between slashes"
            )
        return cls(bucket, f"{prefix}/" if prefix else "", endpoint.rstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def url(self, key: str) -> str:
        """An object's address, for people; `key` without the prefix."""
        return f"s3://{self.bucket}/{self.prefix}{key}"
