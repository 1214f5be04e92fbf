"""Sending a large file in parts, so that whatever breaks off goes on where it was (tus 1.0.0)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from nereid.calls.asking import json_object, part
from nereid.errors import ChecksumError, NereidError, ProblemError, UnreachableError
from nereid.steps import BytesMoved, Pause, Send, Steps, Work
from nereid.unfinished import Unfinished

FROM_BYTES = 16 << 20
"""Files from this size on are sent in parts."""

PART_BYTES = 8 << 20
PATIENCE = 8
"""How often in a row the server may fail before the upload is left for another time."""

MAKE_TIMEOUT_S = 900.0
"""The server reads all of the file before it answers: its digest, and what is in it."""

_TUS: Mapping[str, str] = {"Tus-Resumable": "1.0.0"}
_DAMAGED = 460
_GONE = (404, 410)
_PASSING = (409, 429, 500, 502, 503, 504, _DAMAGED)


@dataclass(frozen=True)
class Sending:
    """A file on its way; `unfinished` remembers where it goes, for when this process is killed."""

    path: Path
    sha256: str
    size: int
    unfinished: Unfinished
    on_bytes: BytesMoved | None = None

    def tell(self, offset: int) -> None:
        if self.on_bytes is not None:
            self.on_bytes(offset, self.size)


def push_in_parts(model: str, sending: Sending, metadata: Mapping[str, Any]) -> Steps[Any]:
    """The new version's document.

    Raises:
        ProblemError: the server refused the file, or any part of it.
        UnreachableError: it did not answer for long; pushing the same file again goes on.
        ChecksumError: the file changed while it was sent.
    """
    upload = sending.unfinished.find()
    if upload is not None:
        offset = yield from _offset(upload)
        if offset is None:
            # Perhaps all of it arrived, and only the answer was lost.
            raw = yield from _made(model, sending, upload, metadata, begun_anew=False)
            if raw is not None:
                return raw
            upload = None
    if upload is None:
        upload, offset = (yield from _begin(sending)), 0
        sending.unfinished.keep(upload)
    yield from _send(sending, upload, offset or 0)
    return (yield from _made(model, sending, upload, metadata, begun_anew=True))


def _begin(sending: Sending) -> Steps[str]:
    said = {"filename": sending.path.name, "sha256": sending.sha256}
    pairs = [f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in said.items()]
    headers = {
        **_TUS,
        "Upload-Length": str(sending.size),
        "Upload-Metadata": ",".join(pairs),
    }
    response: httpx.Response = yield Send("POST", "/uploads/", headers=headers)
    if not response.is_success:
        raise ProblemError.from_response(response)
    return str(json_object(response)["id"])


def _offset(upload: str) -> Steps[int | None]:
    """How much of it the server has; None where it knows no such upload (any more)."""
    response: httpx.Response = yield Send("GET", f"/uploads/{part(upload)}/", headers=_TUS)
    if response.status_code in _GONE:
        return None
    if not response.is_success:
        raise ProblemError.from_response(response)
    return int(json_object(response)["offset"])


def _send(sending: Sending, upload: str, offset: int) -> Steps[None]:
    """Sends what is missing, part by part; asks the server where it stands after each failure."""
    failures = 0
    sending.tell(offset)
    while offset < sending.size:
        try:
            place = yield from _part(sending, upload, offset)
        except (UnreachableError, _PassingError) as error:
            failures += 1
            if failures >= PATIENCE:
                raise error.problem if isinstance(error, _PassingError) else error from error
            yield _pause(failures)
            place = yield from _stands(upload, offset)
        failures = 0 if place > offset else failures
        offset = place
        sending.tell(offset)


def _pause(failures: int) -> Pause:
    return Pause(min(10.0, 0.5 * 2**failures))


def _patiently(send: Send) -> Steps[httpx.Response]:
    """Its answer, from a server that may be away as long as for a part: all the file is there."""
    for failures in range(1, PATIENCE):
        try:
            response: httpx.Response = yield send
        except UnreachableError:
            yield _pause(failures)
        else:
            return response
    response = yield send
    return response


def _stands(upload: str, offset: int) -> Steps[int]:
    try:
        found = yield from _offset(upload)
    except UnreachableError:
        return offset
    if found is None:
        raise NereidError("the server forgot the upload: push the file again")
    return found


class _PassingError(Exception):
    """The part may be taken in a moment."""

    def __init__(self, problem: ProblemError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _part(sending: Sending, upload: str, offset: int) -> Steps[int]:
    def content() -> bytes:
        with sending.path.open("rb") as file:
            file.seek(offset)
            return file.read(PART_BYTES)

    chunk = yield Work(content)
    if len(chunk) != min(PART_BYTES, sending.size - offset):
        raise ChecksumError(f"{sending.path} changed while it was sent")
    digest = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
    headers = {
        **_TUS,
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {digest}",
        "Content-Type": "application/offset+octet-stream",
    }
    response: httpx.Response = yield Send(
        "PATCH", f"/uploads/{part(upload)}/", headers=headers, content=chunk
    )
    if response.is_success:
        return int(response.headers["Upload-Offset"])
    problem = ProblemError.from_response(response)
    raise _PassingError(problem) if response.status_code in _PASSING else problem


def _made(
    model: str,
    sending: Sending,
    upload: str,
    metadata: Mapping[str, Any],
    *,
    begun_anew: bool,
) -> Steps[dict[str, Any] | None]:
    """The version that is made of the upload; None where an old one is not there any more."""
    body = {**metadata, "source": f"upload:{upload}", "filename": sending.path.name}
    # The same request has the same key, in another process, too: it makes one version.
    key = hashlib.sha256(json.dumps([model, body], sort_keys=True).encode()).hexdigest()
    response = yield from _patiently(
        Send(
            "POST",
            f"/models/{part(model)}/versions/",
            json=body,
            headers={"Idempotency-Key": key},
            timeout_s=MAKE_TIMEOUT_S,
        )
    )
    if response.is_success:
        sending.unfinished.forget()
        return json_object(response)
    problem = ProblemError.from_response(response)
    if not begun_anew and any(error.pointer == "/source" for error in problem.errors):
        sending.unfinished.forget()
        return None
    raise problem
