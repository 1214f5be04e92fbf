"""Stores that speak S3: a whole one in this process, and one that misbehaves as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from control_plane.adapters.artifact_cache import ArtifactCache
from control_plane.adapters.s3 import bucket as s3_bucket
from control_plane.adapters.s3.artifacts import BucketArtifactStore
from control_plane.adapters.s3.bucket import Bucket
from control_plane.adapters.s3.place import BucketPlace

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class BucketServer:
    """A server of S3 in this process, and what looks into it past us."""

    def __init__(self) -> None:
        self._server = self._started(0)
        host, port = self._server.get_host_and_port()
        self._port = port
        self.address = f"http://{host}:{port}"
        self.client = boto3.client("s3", endpoint_url=self.address)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens meanwhile; what is in the buckets stays."""
        self.stop()
        try:
            yield
        finally:
            self._server = self._started(self._port)

    def stop(self) -> None:
        self._server.stop()

    @staticmethod
    def _started(port: int) -> ThreadedMotoServer:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        server.start()
        return server

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", ())]


@contextmanager
def bucket_server(*buckets: str) -> Iterator[BucketServer]:
    """A server with these buckets, empty; the environment has credentials meanwhile."""
    patch = pytest.MonkeyPatch()
    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)
    patch.setattr(s3_bucket, "_ATTEMPTS", 1)  # what is away is away
    server = BucketServer()
    for bucket in buckets:
        server.client.create_bucket(Bucket=bucket)
    try:
        yield server
    finally:
        for bucket in buckets:  # all servers of this process share what they keep
            for key in server.keys(bucket):
                server.client.delete_object(Bucket=bucket, Key=key)
            server.client.delete_bucket(Bucket=bucket)
        server.stop()
        patch.undo()


def bucket_store(
    address: str,
    cache: Path,
    *,
    place: str = "s3://artifacts/team",
    cache_bytes: int = 1 << 30,
    owner: str = "ours",
) -> BucketArtifactStore:
    """Our store in a bucket at that address."""
    bucket = Bucket(BucketPlace.of(place, address), owner=owner)
    return BucketArtifactStore(bucket, ArtifactCache(cache, cache_bytes))


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def misbehaving(answer: Answer) -> Iterator[str]:
    """A server that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
