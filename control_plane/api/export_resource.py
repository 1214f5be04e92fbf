"""`/models/{name}/versions/{n}/export/`: a version as a plain Triton model directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.adapters.triton.pbtxt import plain_values
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.domain.adoption.exporting import OURS, Exported
from control_plane.domain.names import is_public_name
from control_plane.domain.violations import NotFoundError
from control_plane.endpoints.selectors import get_endpoint
from control_plane.registry.exports import export_version
from control_plane.registry.models import ModelVersion
from control_plane.registry.selectors import get_version

ENDPOINT = OpenApiParameter("endpoint", str, description="Whose arm it is served as; with `arm`.")
ARM = OpenApiParameter(
    "arm", str, description="The arm whose overrides are laid over the serving profile."
)


class ExportedFileSerializer(serializers.Serializer[Any]):
    """A file of the directory."""

    path = serializers.CharField(help_text="in the model's directory")
    sha256 = serializers.CharField()


class ExportSerializer(serializers.Serializer[Any]):
    """What is written for a version; its files are in its download, known by their digests."""

    model = serializers.CharField()
    version = serializers.IntegerField()
    backend = serializers.CharField()
    ours = serializers.CharField(
        help_text="the backend comes with Nereid: what else serves it; empty: it is Triton's"
    )
    config = serializers.JSONField(help_text="ModelConfig, as protobuf's JSON has it")
    files = ExportedFileSerializer(many=True)
    artifact = serializers.CharField(help_text="sha256 of the download")
    lost = serializers.ListField(
        child=serializers.CharField(), help_text="what plain Triton has no word for"
    )


class ExportView(ResourceView):
    """A version, for a Triton without Nereid."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"

    @extend_schema(responses=ExportSerializer, parameters=[ENDPOINT, ARM])
    def get(self, request: Request, name: str, number: str) -> Response:
        """A version with its serving profile as a plain Triton model directory: its configuration,
        and where each file of its download lies."""
        version = get_version(name, number)
        version, found = export_version(name, version.number, _overrides(request, version))
        return Response(ExportSerializer(_document(version, found)).data)


def _overrides(request: Request, version: ModelVersion) -> Mapping[str, Any]:
    """Those of the arm that the caller names; none where no arm is named."""
    endpoint, arm = (request.query_params.get(name, "") for name in ("endpoint", "arm"))
    if not endpoint and not arm:
        return {}
    # A name that is none cannot even be asked for.
    policy = get_endpoint(endpoint).policy if is_public_name(endpoint) else None
    for one in (policy or {}).get("arms", ()):
        runs = (one.get("name"), one.get("model"), one.get("version"))
        if runs == (arm, version.model.name, version.number):
            return one.get("overrides") or {}
    serves = f"{version.model.name}:{version.number}"
    raise NotFoundError(f"no endpoint {endpoint[:80]!r} has an arm {arm[:80]!r} with {serves}")


def _document(version: ModelVersion, found: Exported) -> dict[str, Any]:
    return {
        "model": version.model.name,
        "version": version.number,
        "backend": found.backend,
        "ours": OURS.get(found.backend, ""),
        "config": plain_values(found.config),
        "files": [{"path": path, "sha256": digest} for path, digest in sorted(found.files.items())],
        "artifact": version.artifact_id,
        "lost": list(found.lost),
    }
