"""`/models/{name}/versions/{n}/download`."""

from __future__ import annotations

import base64
from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from control_plane import wiring
from control_plane.api.conditions import unless_known
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.domain.violations import ConflictError
from control_plane.registry.models import ModelVersion
from control_plane.registry.selectors import get_version


class DownloadView(ResourceView):
    """The artifact of a version."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, 304: None})
    def get(self, request: Request, name: str, number: str) -> Any:
        """The model file, as it was uploaded."""
        version = get_version(name, number)
        sha256 = version.artifact_id
        if sha256 is None:
            raise ConflictError(f"{version} has no file: it is {version.state}")
        return unless_known(request, f'"{sha256}"', lambda: _file(version, sha256))


def _file(version: ModelVersion, sha256: str) -> FileResponse:
    with wiring.artifact_store().held(sha256) as path:
        file = path.open("rb")  # which can be read to its end, whatever becomes of the name
    # Of no kind that a browser runs or shows, whatever its name ends with.
    response = FileResponse(
        file,
        as_attachment=True,
        filename=version.filename,
        content_type="application/octet-stream",
    )
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    response["Digest"] = f"sha-256={digest}"  # RFC 3230: base64, not hex
    return response
