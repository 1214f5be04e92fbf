"""`/uploads/`: resumable uploads by the tus protocol, version 1.0.0 (https://tus.io)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import IO, Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.access.selectors import may_somewhere
from control_plane.api.resource import ResourceView, link
from control_plane.domain.access import Kind
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.ports.partial_files import WrongChecksumError
from control_plane.registry.models import Upload
from control_plane.registry.uploads import (
    append_to_upload,
    create_upload,
    delete_upload,
    get_upload,
)

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
CHECKSUMS = ("sha256", "sha1")
CHECKSUM_MISMATCH = 460
"""The protocol's own status code."""

_WHOLE = re.compile(r"[0-9]{1,15}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class OtherVersionError(APIException):
    """The caller speaks another version of the protocol."""

    status_code = 412
    default_detail = f"send Tus-Resumable: {VERSION}"
    default_code = "tus_version"


class OffsetStreamParser(BaseParser):
    """Hands the body on as it comes."""

    media_type = "application/offset+octet-stream"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return stream


class MayUpload(BasePermission):
    """Whoever may push versions of any model: of which one is asked when the version is made."""

    message = "this needs registry.add_modelversion on some model: ask for the role publisher"

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method == "OPTIONS":
            return True
        user = request.user
        if not user or not user.is_authenticated:
            return False
        return may_somewhere(user, "registry.add_modelversion", Kind.MODEL)


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """An unfinished upload."""

    class Meta:
        model = Upload
        fields = ("id", "filename", "sha256", "length", "offset", "created_at", "expires_at")


class TusView(ResourceView):
    """What every answer of the protocol carries, and what every request has to say."""

    permission_classes = (MayUpload,)
    write_permission = "registry.add_modelversion"
    counted_as_write = False  # a file comes in thousands of parts

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        # For clients that some proxy lets send nothing but POST.
        method = request.META.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
        if request.method == "POST" and method in ("PATCH", "DELETE"):
            request.method = method
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        said = request.headers.get("Tus-Resumable")
        if request.method in ("POST", "PATCH", "DELETE") and said != VERSION:
            raise OtherVersionError

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Tus-Resumable"] = VERSION
        if response.status_code == OtherVersionError.status_code:
            response["Tus-Version"] = VERSION
        return response

    @extend_schema(exclude=True)
    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What this server can do."""
        return Response(
            status=204,
            headers={
                "Tus-Version": VERSION,
                "Tus-Extension": EXTENSIONS,
                "Tus-Max-Size": str(settings.NEREID_MAX_UPLOAD_BYTES),
                "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
            },
        )


def _header(name: str, *, required: bool = True, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required, **more)


_RESUMABLE = _header("Tus-Resumable", enum=[VERSION])


class UploadsView(TusView):
    """Uploads that may break off and go on."""

    @extend_schema(
        request=None,
        parameters=[
            _RESUMABLE,
            _header("Upload-Length", description="bytes in all"),
            _header(
                "Upload-Metadata",
                required=False,
                description="`filename` and `sha256`, each followed by its value in base64",
            ),
        ],
        responses={201: UploadSerializer},
    )
    def post(self, request: Request) -> Response:
        """Begins an upload (tus creation); PATCH its Location, then make a version of it."""
        if "Upload-Defer-Length" in request.headers:
            raise _bad("Upload-Defer-Length", "the length has to be known: send Upload-Length")
        length = _number(request, "Upload-Length")
        limit = settings.NEREID_MAX_UPLOAD_BYTES
        if length > limit:
            raise RequestDataTooBig(f"an upload has at most {limit} bytes")
        said = _metadata(request.headers.get("Upload-Metadata", ""))
        sha256 = said.get("sha256", "")
        if sha256 and not _SHA256.fullmatch(sha256):
            raise _bad("Upload-Metadata", "sha256 has 64 hex digits")
        upload = create_upload(
            owner=self.actor,
            length=length,
            filename=said.get("filename", ""),
            sha256=sha256.lower(),
            quota=wiring.upload_quota(),
            files=wiring.partial_files(),
            clock=wiring.clock(),
        )
        headers = {"Location": link(request, "upload", upload=str(upload.id)), **_state(upload)}
        return Response(UploadSerializer(upload).data, status=201, headers=headers)


class UploadView(TusView):
    """One unfinished upload; only its owner sees it."""

    parser_classes = (OffsetStreamParser,)

    @extend_schema(responses=UploadSerializer)
    def get(self, request: Request, upload: str) -> Response:
        """How far it is; HEAD says it in headers alone."""
        found = self._mine(upload)
        return Response(UploadSerializer(found).data, headers=_state(found))

    @extend_schema(
        request={"application/offset+octet-stream": OpenApiTypes.BINARY},
        parameters=[
            _RESUMABLE,
            _header("Upload-Offset", description="where the content goes on"),
            _header("Upload-Checksum", required=False, description="`sha256 <base64>`"),
        ],
        responses={204: None},
    )
    def patch(self, request: Request, upload: str) -> Response:
        """Sends what comes next; 460 says that it arrived damaged, and nothing of it counts."""
        stream = request.data if request.headers.get("Content-Length", "0") != "0" else None
        try:
            found = append_to_upload(
                upload_id=_uuid(upload),
                owner=self.actor,
                offset=_number(request, "Upload-Offset"),
                stream=stream or _Nothing(),
                announced=int(request.META.get("CONTENT_LENGTH") or 0),
                checksum=_checksum(request),
                quota=wiring.upload_quota(),
                files=wiring.partial_files(),
                clock=wiring.clock(),
            )
        except WrongChecksumError as error:
            return Response(
                {
                    "type": "about:blank",
                    "title": "Checksum Mismatch",
                    "status": CHECKSUM_MISMATCH,
                    "detail": str(error),
                    "instance": request.path,
                    "request_id": getattr(request, "request_id", ""),
                    "errors": [],
                },
                status=CHECKSUM_MISMATCH,
                content_type="application/problem+json",
            )
        return Response(status=204, headers=_state(found))

    @extend_schema(parameters=[_RESUMABLE], responses={204: None})
    def delete(self, request: Request, upload: str) -> Response:
        """Gives it up (tus termination)."""
        delete_upload(upload=self._mine(upload), actor=self.actor, files=wiring.partial_files())
        return Response(status=204)

    def _mine(self, upload: str) -> Upload:
        return get_upload(_uuid(upload), owner=self.actor, clock=wiring.clock())


class _Nothing:
    def read(self, size: int, /) -> bytes:
        return b""


def _state(upload: Upload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.length),
        "Upload-Expires": http_date(upload.expires_at.timestamp()),
        "Cache-Control": "no-store",
    }


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _bad("", f"{text!r} is no upload's id") from None


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not _WHOLE.fullmatch(text):
        raise _bad(name, "send it as a whole number of bytes")
    return int(text)


def _checksum(request: Request) -> tuple[str, bytes] | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    name, _, digest = text.partition(" ")
    if name not in CHECKSUMS:
        raise _bad("Upload-Checksum", f"the algorithms are {', '.join(CHECKSUMS)}")
    return name, _decoded(digest, "Upload-Checksum")


def _metadata(text: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = _decoded(value, "Upload-Metadata").decode()
        except UnicodeDecodeError:
            raise _bad("Upload-Metadata", f"{key[:40]!r} is no UTF-8") from None
    return found


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad(name, "the values are in base64") from None


def _bad(name: str, detail: str) -> InvalidInputError:
    return InvalidInputError([Violation("", "header", f"{name}: {detail}" if name else detail)])
