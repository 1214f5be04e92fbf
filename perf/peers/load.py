"""wrk, the load generator that all are measured by: callers that each wait for their answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

SCRIPT = Path(__file__).resolve().parent / "load.lua"
GRACE_S = 60


@dataclass(frozen=True)
class Asked:
    """One request: where it goes, what it carries."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"

    def once(self) -> tuple[bytes, Mapping[str, str]]:
        """The answer to it, and its headers; raises httpx.HTTPError."""
        answer = httpx.request(
            self.method, self.url, content=self.body, headers=dict(self.headers), timeout=30
        )
        answer.raise_for_status()
        return answer.content, answer.headers


@dataclass(frozen=True)
class Measured:
    """What one measurement found; latencies in microseconds, `rate` good answers in a second."""

    rate: float
    p50_us: float
    p99_us: float
    failed: int


def measure(asked: Asked, callers: int, seconds: float) -> Measured:
    """Sends the request from so many callers for so long.

    Raises:
        FileNotFoundError: there is no wrk.
        subprocess.SubprocessError: wrk failed.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise FileNotFoundError("there is no wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="nereid-wrk-") as folder:
        body, headers, result = (Path(folder) / name for name in ("body", "headers", "result"))
        body.write_bytes(asked.body)
        headers.write_text("".join(f"{name}: {value}\n" for name, value in asked.headers.items()))
        subprocess.run(
            [wrk, "-t1", f"-c{callers}", f"-d{seconds:g}s", "-s", str(SCRIPT), asked.url],
            env={
                **os.environ,
                "BENCH_METHOD": asked.method,
                "BENCH_BODY": str(body),
                "BENCH_HEADERS": str(headers),
                "BENCH_RESULT": str(result),
            },
            check=True,
            capture_output=True,
            timeout=seconds + GRACE_S,
        )
        requests, failed, duration_us, p50, p99 = map(int, result.read_text().split())
    return Measured((requests - failed) / duration_us * 1e6, p50, p99, failed)
