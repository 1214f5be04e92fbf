"""What can go wrong, in words a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

PROBLEM_JSON = "application/problem+json"


class NereidError(Exception):
    """Base of everything this package raises on purpose."""

    def as_document(self) -> dict[str, Any]:
        """The shape that ``--json`` prints for a failure: a problem document, like the server's."""
        return {"title": str(self), "detail": "", "status": None, "errors": []}


class NotConfiguredError(NereidError):
    """Nothing says which control plane to talk to, or with which token."""


class UnreachableError(NereidError):
    """No answer came back: nobody listens there, or the connection broke."""

    def __init__(self, address: str, reason: str, advice: str, *, doubtful: bool = False) -> None:
        super().__init__(f"no answer from {address}: {reason}\n{advice}")
        self.doubtful = doubtful
        """Whether the request may have been carried out all the same."""
        self.address = address
        self.reason = reason
        self.advice = advice

    def as_document(self) -> dict[str, Any]:
        detail = f"{self.reason}. {self.advice}"
        return {
            "title": f"No answer from {self.address}",
            "detail": detail,
            "status": None,
            "errors": [],
        }


class WaitTimeoutError(NereidError):
    """The deadline passed before the object reached the state that was waited for."""


class VersionRejectedError(NereidError):
    """The server checked a version and found that it cannot serve."""

    def __init__(self, version: str, state: str, reason: str) -> None:
        super().__init__(f"{version} is {state}: {reason}")
        self.version = version
        self.state = state
        self.reason = reason


class ChecksumError(NereidError):
    """What the server stored is not what was sent."""


class ConversionError(NereidError):
    """A fitted object cannot be made an ONNX model; the words name the step."""


class DifferentAnswersError(ConversionError):
    """The ONNX model of a fitted object answers otherwise than the object itself."""

    def __init__(
        self, output: str, row: int, column: int, got: object, expected: object, tolerance: float
    ) -> None:
        super().__init__(
            f"{output}, row {row}, column {column}: the ONNX model says {got!r}, and the original "
            f"{expected!r} (tolerance {tolerance:g})\nNothing was pushed. Give the sample in the "
            "precision that it was fitted with, or a wider tolerance where it may be wider, or "
            "push a Python model (model.py)."
        )
        self.output = output
        self.row = row
        self.column = column
        self.got = got
        self.expected = expected


class InferenceError(NereidError):
    """Triton refused a request, or an answer is not what was asked for."""


@dataclass(frozen=True)
class FieldError:
    pointer: str
    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.detail}" if self.pointer else self.detail


class ProblemError(NereidError):
    """The server said no (RFC 9457 problem details)."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        errors: tuple[FieldError, ...] = (),
        document: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.document = dict(document or {})
        self.advice = ""
        """What to do about it, from who knows what was asked for."""

    @property
    def request_id(self) -> str | None:
        value = self.document.get("request_id")
        return str(value) if value else None

    @property
    def explanation(self) -> str:
        """The detail, unless title or field errors say the same already."""
        said = {self.title, *map(str, self.errors), *(error.detail for error in self.errors)}
        # The server's summary of several begins with the first of them.
        repeated = any(self.detail.startswith(str(error)) for error in self.errors)
        return "" if repeated or self.detail in said else self.detail

    def __str__(self) -> str:
        lines = [f"{self.title} ({self.status})"]
        if self.explanation:
            lines.append(self.explanation)
        lines.extend(f"  {error}" for error in self.errors)
        return "\n".join(lines)

    def as_document(self) -> dict[str, Any]:
        if self.document:
            return self.document
        return {
            "title": self.title,
            "detail": self.detail,
            "status": self.status,
            "errors": [vars(error) for error in self.errors],
        }

    @classmethod
    def from_response(cls, response: httpx.Response) -> ProblemError:
        """Read a problem document; anything else (a proxy's HTML, say) becomes a short excerpt."""
        document = _json_object(response)
        if document is None or not ({"title", "detail"} & document.keys()):
            excerpt = " ".join(response.text.split())[:200]
            return cls(response.status_code, response.reason_phrase or "Error", excerpt)
        fields = tuple(
            FieldError(
                str(entry.get("pointer") or ""),
                str(entry.get("code") or ""),
                str(entry.get("detail") or ""),
            )
            for entry in document.get("errors") or ()
            if isinstance(entry, Mapping)
        )
        return cls(
            response.status_code,
            str(document.get("title") or response.reason_phrase),
            str(document.get("detail") or ""),
            fields,
            document,
        )


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    if "json" not in response.headers.get("content-type", ""):
        return None
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
