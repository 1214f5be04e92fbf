"""One MLflow tracking server: what its REST API says, and the artifacts that it passes on.

Nothing leads elsewhere: redirects are refused, answers have a size and a time, and every address is
made here, below the one that the operator named.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx

from control_plane.adapters.mlflow.address import ModelAddress, is_number
from control_plane.ports.sources import SourceFailedError, SourceRefusedError

MAX_DOCUMENT_BYTES = 4 << 20
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
DOCUMENT_S = 20.0
"""A document is here after so long: somebody waits for what an alias means."""

FILE_S = 45 * 60.0
"""A file is here after so long; see `registry.fetching`, which looks only where bytes come."""

_CHUNK = 1 << 20
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of MLflow's registry: what it was registered from, and by which run."""

    address: ModelAddress
    source: str
    run_id: str


class MlflowServer:
    """The tracking server at `uri`, asked with a token, or a user name and password, or neither."""

    def __init__(
        self, uri: str, *, token: str = "", username: str = "", password: str = ""
    ) -> None:
        self.uri = uri.rstrip("/")
        self.host = httpx.URL(self.uri).netloc.decode()
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
            auth=(username, password) if username and not token else None,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def version(self, address: ModelAddress) -> RegisteredVersion:
        """The version that an address means now.

        Raises:
            SourceRefusedError: there is none, or it is not ready there.
            SourceFailedError: the server does not answer as it should.
        """
        if address.alias:
            asked = {"name": address.name, "alias": address.alias}
            document = self._get(f"{_API}/registered-models/alias", asked, str(address))
        else:
            asked = {"name": address.name, "version": address.number}
            document = self._get(f"{_API}/model-versions/get", asked, str(address))
        found = _object(document, "model_version")
        number, status = str(found.get("version") or ""), str(found.get("status") or "READY")
        if not is_number(number):
            raise SourceFailedError(f"MLflow at {self.uri} gave {address} no number")
        if status != "READY":
            raise SourceRefusedError(f"{address} is {status} in MLflow, not READY")
        return RegisteredVersion(
            ModelAddress(address.name, number),
            str(found.get("source") or ""),
            str(found.get("run_id") or ""),
        )

    def place(self, address: ModelAddress) -> str:
        """Where the artifacts of a version lie, as an address."""
        asked = {"name": address.name, "version": address.number}
        path = f"{_API}/model-versions/get-download-uri"
        return str(self._get(path, asked, str(address)).get("artifact_uri") or "")

    def run(self, run_id: str) -> Mapping[str, Any] | None:
        """A run; None where it is gone."""
        try:
            return _object(self._get(f"{_API}/runs/get", {"run_id": run_id}, run_id), "run")
        except SourceRefusedError:
            return None

    def names(self, path: str) -> dict[str, int]:
        """The files of a folder that the server passes on, with their sizes."""
        document = self._get(_ARTIFACTS, {"path": path}, path)
        listed = document.get("files")
        entries = listed if isinstance(listed, list) else []
        found = {}
        for entry in entries:
            if not isinstance(entry, Mapping) or entry.get("is_dir"):
                continue
            name, size = str(entry.get("path")), entry.get("file_size") or 0
            # Its JSON has 64-bit numbers as texts at times; one below 0 would be read to no end.
            if not (isinstance(size, int | str) and str(size).isdecimal() and len(str(size)) < 19):
                raise SourceFailedError(f"MLflow at {self.uri} gave {name[:100]!a} no size")
            found[name] = int(size)
        return found

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[tuple[BinaryIO, int]]:
        """A file that the server passes on, and its size in bytes; 0: not said.

        Raises:
            SourceRefusedError: it is not there.
            SourceFailedError: it cannot be had now.
        """
        with self._asked(f"{_ARTIFACTS}/{quote(path)}", {}, path) as response:
            said = response.headers.get("Content-Length", "")
            size = int(said) if said.isascii() and said.isdecimal() else 0
            chunks = self._arriving(response, FILE_S)
            yield io.BufferedReader(_Body(chunks), _CHUNK), size

    def _get(self, path: str, query: Mapping[str, str], what: str) -> Mapping[str, Any]:
        with self._asked(path, query, what) as response:
            body = self._body(response)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, Mapping):
            raise SourceFailedError(
                f"{self.uri} answered no JSON object: is it an MLflow tracking server?"
            )
        return document

    @contextlib.contextmanager
    def _asked(self, path: str, query: Mapping[str, str], what: str) -> Iterator[httpx.Response]:
        try:
            with self._client.stream("GET", self.uri + path, params=dict(query)) as response:
                if response.status_code != httpx.codes.OK:
                    raise self._refusal(response, what)
                yield response
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise SourceFailedError(
                f"MLflow at {self.uri} does not answer: {error or type(error).__name__}"
            ) from error

    def _arriving(self, response: httpx.Response, within_s: float) -> Iterator[bytes]:
        """What comes, as it comes: a server that drips comes to an end too."""
        ends = time.monotonic() + within_s
        try:
            for chunk in response.iter_bytes():
                if time.monotonic() > ends:
                    raise SourceFailedError(
                        f"MLflow at {self.uri} has not said all of it after {within_s:g} s"
                    )
                yield chunk
        except httpx.RequestError as error:
            raise SourceFailedError(f"MLflow at {self.uri} broke off: {error}") from error

    def _body(self, response: httpx.Response) -> bytes:
        body = b""
        for chunk in self._arriving(response, DOCUMENT_S):
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise SourceFailedError(f"MLflow at {self.uri} answered more than is read")
        return body

    def _refusal(self, response: httpx.Response, what: str) -> Exception:
        status = response.status_code
        if response.is_redirect:
            return SourceRefusedError(
                f"MLflow at {self.uri} answers with a redirect, and none is followed: name its "
                "real address in NEREID_MLFLOW_TRACKING_URI"
            )
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return SourceRefusedError(
                f"MLflow at {self.uri} refuses Nereid's credentials ({status}): the operator names "
                "them in NEREID_MLFLOW_TOKEN, or NEREID_MLFLOW_USERNAME and …_PASSWORD"
            )
        try:
            said = json.loads(self._body(response))
        except (ValueError, RecursionError):
            said = {}
        code = said.get("error_code") if isinstance(said, Mapping) else None
        words = str(said.get("message"))[:300] if code else ""
        if status == httpx.codes.NOT_FOUND or code in _ABSENT:
            return SourceRefusedError(f"MLflow at {self.uri} has no {what}: {words or status}")
        return SourceFailedError(f"MLflow at {self.uri} answered {status}: {words}")


class _Body(io.RawIOBase):
    """A response's body as a stream that is read, never held."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            while not self._rest:
                self._rest = next(self._chunks)
        except StopIteration:
            return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    if not isinstance(found, Mapping):
        raise SourceFailedError(f"MLflow's answer has no {key}")
    return found
