"""`/profiles/`: how versions are served, built in and added."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.conditions import IF_MATCH, RevisedView
from control_plane.api.pagination import ListedPagination
from control_plane.api.policy_resource import FindingSerializer
from control_plane.api.resource import ResourceView
from control_plane.domain.findings import Finding
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.endpoints.serving_findings import hardware
from control_plane.registry.profile_edits import delete_profile, locked_profile, put_profile
from control_plane.registry.profiles import KnownProfile, all_profiles, get_profile

DOCUMENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "A serving profile in the words of Triton's model configuration; every word is "
    "explained in docs/profiles.md.",
    "example": {"description": "Waits 1 ms", "max_batch_size": 32},
}
SEARCH = OpenApiParameter("search", str, description="A part of the name or the description.")
IF_MATCH_TO_CHANGE = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="To change a profile: the ETag that was read, or * to overwrite whatever is there. "
    "Left out where the profile is new.",
)
EXAMPLE = OpenApiExample(
    "waits for batches",
    value={
        "description": "Batches of up to 32 rows, for which requests wait up to 1 ms",
        "max_batch_size": 32,
        "dynamic_batching": {"max_queue_delay_microseconds": 1000},
        "instance_group": [{"count": 2}],
    },
    request_only=True,
)


@extend_schema_field(DOCUMENT)
class ProfileDocumentField(serializers.JSONField):
    """A profile as it may be sent again."""


class ProfileSerializer(serializers.Serializer[Any]):
    """A serving profile as the API shows it."""

    name = serializers.CharField()
    built_in = serializers.BooleanField(help_text="it comes with Nereid, and is read-only")
    revision = serializers.IntegerField(allow_null=True, help_text="null: built in")
    document = ProfileDocumentField()
    findings = FindingSerializer(
        many=True, help_text="of the linter, as far as it can tell without a model"
    )
    changed_at = serializers.DateTimeField(allow_null=True)
    changed_by = serializers.CharField()


class ProfilesView(ResourceView, ListAPIView[Any]):
    """All serving profiles."""

    read_permission = "registry.view_profile"
    serializer_class = ProfileSerializer
    pagination_class = ListedPagination
    filter_backends: Any = ()

    @extend_schema(parameters=[SEARCH])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """All serving profiles by name, built in and added."""
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return []
        servers = hardware()
        shown = [_document(known, servers) for known in all_profiles()]
        word = self.request.query_params.get("search", "").lower()
        return [one for one in shown if word in _searched(one)]


class ProfileView(RevisedView):
    """One serving profile."""

    read_permission = "registry.view_profile"
    record = "profile"
    words = "serving profile"

    def find(self, name: str) -> object | None:
        return locked_profile(name)

    def store(self, name: str, document: object) -> bool:
        return put_profile(name=name, document=document, actor=self.actor)

    def shown(self, **path: Any) -> dict[str, Any]:
        return _document(get_profile(path["name"]), hardware())

    @extend_schema(responses=ProfileSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One serving profile at its newest revision, with what the linter finds."""
        return Response(self.shown(name=name))

    @extend_schema(
        request={"application/json": DOCUMENT},
        responses={200: ProfileSerializer, 201: ProfileSerializer},
        parameters=[IF_MATCH_TO_CHANGE],
        examples=[EXAMPLE],
    )
    def put(self, request: Request, name: str) -> Response:
        """Makes this document the profile's newest revision, and the profile where it is new.

        What serves stays as it was compiled: the next policy of an endpoint is compiled with it.
        """
        return self.put_document(request, name)

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Removes a profile that no version names."""
        delete_profile(name=name, actor=self.actor)
        return Response(status=204)


def _document(known: KnownProfile, servers: Hardware) -> dict[str, Any]:
    document = {
        "name": known.name,
        "built_in": known.built_in,
        "revision": known.revision,
        "document": known.shown,
        "findings": _findings(known, servers),
        "changed_at": known.changed_at,
        "changed_by": known.changed_by,
    }
    return dict(ProfileSerializer(document).data)


def _findings(known: KnownProfile, servers: Hardware) -> list[Finding]:
    if known.profile is None:
        fix = "put it again without what is refused: until then nothing new is compiled with it"
        return [Finding("error", "unreadable", known.error, fix=fix)]
    return lint(Subject(known.profile), servers)


def _searched(document: dict[str, Any]) -> str:
    return f"{document['name']} {document['document'].get('description', '')}".lower()
