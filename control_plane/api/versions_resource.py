"""`/models/{name}/versions/`."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db.models import QuerySet
from django.utils.datastructures import MultiValueDict
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.generics import ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.conditions import IF_MATCH, EditableView
from control_plane.api.fields import TextField, WholeNumberField
from control_plane.api.pagination import AllowedOrdering, NumberPagination
from control_plane.api.parsers import StrictJSONParser, parse_json
from control_plane.api.registry_fields import (
    MetricsField,
    ModelConfigField,
    PlaceSerializer,
    ProvenanceField,
    TagsField,
    VersionPatch,
    VersionUpload,
)
from control_plane.api.registry_filters import DeclaredFilters, VersionFilter
from control_plane.api.resource import OnlyVisible, ResourceView, link, read_body, read_object
from control_plane.domain.access import PUBLISH_CODE, Kind, Target
from control_plane.domain.registry.frameworks import REMOTE
from control_plane.domain.signature import read_signature
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.registry.adopting import adopt
from control_plane.registry.fetching import add_from_source
from control_plane.registry.lifecycle import delete_version, locked_version
from control_plane.registry.models import ModelVersion, PipelineStep, Upload
from control_plane.registry.pipelines import steps_of
from control_plane.registry.selectors import get_model, get_version
from control_plane.registry.services import VersionMetadata, add_version
from control_plane.registry.uploads import finished_upload
from control_plane.registry.version_edits import update_version

DEFAULT_FRAMEWORK = "onnx"


class StepOfSerializer(serializers.Serializer[Any]):
    """A pipeline's revision that a version is a step of."""

    pipeline = serializers.CharField(source="revision.pipeline.name")
    revision = serializers.IntegerField(source="revision.number")
    step = serializers.CharField(source="name")
    newest = serializers.SerializerMethodField()

    def get_newest(self, step: PipelineStep) -> bool:
        """Whether it is the pipeline's newest revision."""
        return step.revision.number == step.revision.pipeline.newest


class VersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A version as the API shows it; `with_places` has to have looked where it serves."""

    model = serializers.CharField(source="model.name")
    version = serializers.IntegerField(source="number")
    aliases = serializers.SerializerMethodField()
    serves_in = PlaceSerializer(source="places", many=True)
    pipelines = StepOfSerializer(source="pipeline_steps_shown", many=True)
    metrics = MetricsField()
    provenance = ProvenanceField()
    model_config = ModelConfigField()
    artifact = serializers.SerializerMethodField()
    golden = serializers.CharField(
        source="golden_id", allow_null=True, help_text="sha256 of its golden examples"
    )
    status_url = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "model",
            "version",
            "state",
            "state_reason",
            "aliases",
            "serves_in",
            "pipelines",
            "description",
            "tags",
            "framework",
            "profile",
            "overrides",
            "artifact",
            "source",
            "signature",
            "model_config",
            "parameters",
            "code",
            "golden",
            "metrics",
            "provenance",
            "created_at",
            "created_by",
            "status_url",
        )

    def get_aliases(self, version: ModelVersion) -> list[str]:
        return [alias.name for alias in version.aliases.all()]

    def get_artifact(self, version: ModelVersion) -> dict[str, Any] | None:
        artifact = version.artifact
        if artifact is None:  # its file is on its way
            return None
        return {"sha256": artifact.sha256, "size": artifact.size, "filename": version.filename}

    def get_status_url(self, version: ModelVersion) -> str:
        request = self.context["request"]
        return link(request, "version", name=version.model.name, number=version.number)


class VersionMetadataSerializer(serializers.Serializer[Any]):
    """The part `metadata` of an upload."""

    framework = TextField(default=DEFAULT_FRAMEWORK)
    version = WholeNumberField(required=False, allow_null=True, default=None)
    sha256 = TextField(required=False, allow_null=True, default=None)
    profile = TextField(default="realtime")
    overrides = serializers.JSONField(
        default=dict,
        help_text="what this version says otherwise than its serving profile, in the same words",
    )
    description = TextField(required=False, allow_blank=True, default="")
    tags = TagsField(default=dict)
    metrics = MetricsField(default=dict)
    provenance = ProvenanceField(default=dict)
    signature = serializers.JSONField(
        required=False,
        allow_null=True,
        default=None,
        help_text="what it takes and gives, where the file does not say",
    )
    model_config = ModelConfigField(default=dict)
    golden = serializers.ListField(
        child=serializers.JSONField(),
        default=list,
        help_text="inputs with the outputs that every server has to give, and a tolerance",
    )


class VersionFromSource(VersionMetadataSerializer):
    """A version whose file is here already: the metadata's fields, and where the file is."""

    framework = TextField(
        required=False,
        allow_null=True,
        default=None,
        help_text="else what a source of MLflow's registry says, and onnx for all others",
    )
    source = TextField(
        max_length=1024,
        help_text="`upload:<id>`, `file:///…`, `s3://bucket/key`, or of MLflow's registry "
        "`models:/name@alias` or `models:/name/3`; `grpc://host:port/model` is asked for every "
        "request, and not fetched",
    )
    filename = TextField(required=False, allow_blank=True, default="", max_length=255)


PATCH_EXAMPLES = [
    OpenApiExample(
        "measured on another data set",
        {"metrics": {"holdout-2026": {"accuracy": 0.974}}},
        request_only=True,
    )
]


class VersionsView(ResourceView, ListAPIView[ModelVersion]):
    """The versions of a model."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"
    queryset = ModelVersion.objects.none()
    serializer_class = VersionSerializer
    pagination_class = NumberPagination
    filter_backends = (OnlyVisible, DeclaredFilters, SearchFilter, AllowedOrdering)
    filterset_class = VersionFilter
    search_fields = ("description", "filename", "created_by")
    parser_classes = (MultiPartParser, StrictJSONParser)
    ordering_fields = ("number", "created_at")
    write_permission = "registry.add_modelversion"

    def get_queryset(self) -> QuerySet[ModelVersion]:
        if getattr(self, "swagger_fake_view", False):
            return ModelVersion.objects.none()
        get_model(self.kwargs["name"])
        rows = ModelVersion.objects.filter(model__name=self.kwargs["name"])
        return rows.select_related("model", "artifact").prefetch_related("aliases")

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page of versions, with where each serves: one question for all of them."""
        return with_places(super().paginate_queryset(queryset) or [])

    @extend_schema(
        request={"multipart/form-data": VersionUpload, "application/json": VersionFromSource},
        responses={202: VersionSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        """Adds a version: the file as the part `artifact` with the JSON part `metadata`, or JSON
        alone with its `source`: `upload:<id>` of a finished upload, an address below a root that is
        allowed here, or a version of MLflow's registry (an alias is settled now, once); a worker
        fetches it."""
        get_model(name)
        _check_size(request)
        with ExitStack() as stack:
            if isinstance(request.data, MultiValueDict):
                stream, filename = _part(request)
                metadata = _metadata(request.data.get("metadata") or "{}")
            else:
                values = read_body(VersionFromSource, request)
                source, given = values.pop("source"), values.pop("filename")
                said = values["framework"] is not None
                values["framework"] = values["framework"] or DEFAULT_FRAMEWORK
                metadata = _version_metadata(values)
                if source.startswith("grpc:"):
                    return self._adopted(name, source, metadata, said)
                if not source.startswith("upload:"):
                    told = {"filename": given, "framework_given": said}
                    return self._fetched(name, source, metadata, **told)
                upload, stream = stack.enter_context(self._finished(source))
                filename = given or upload.filename
                if upload.sha256 and metadata.sha256 is None:
                    metadata = replace(metadata, sha256=upload.sha256)
            version = add_version(
                model_name=name,
                stream=stream,
                filename=filename,
                metadata=metadata,
                actor=self.actor,
                store=wiring.artifact_store(),
                inspector=wiring.inspector(),
                queue=wiring.queue(),
                may_publish_code=self._may_publish_code(name),
            )
        return self._accepted(version)

    def _accepted(self, version: ModelVersion) -> Response:
        body = version_document(version, self.request)
        return Response(body, status=202, headers={"Location": body["status_url"]})

    def _fetched(self, name: str, source: str, metadata: VersionMetadata, **given: Any) -> Response:
        version = add_from_source(
            model_name=name,
            source=source,
            metadata=metadata,
            actor=self.actor,
            sources=wiring.sources(),
            queue=wiring.queue(),
            may_publish_code=self._may_publish_code(name),
            **given,
        )
        return self._accepted(version)

    def _adopted(self, name: str, source: str, metadata: VersionMetadata, said: bool) -> Response:
        if said and metadata.framework != REMOTE:
            detail = f"what a process serves is of the framework {REMOTE}: leave it out"
            raise InvalidInputError([Violation("/framework", "mismatch", detail)])
        version = adopt(
            model_name=name,
            source=source,
            metadata=metadata,
            actor=self.actor,
            store=wiring.artifact_store(),
            remotes=wiring.remotes(),
            allowed=settings.NEREID_REMOTE_ALLOW,
            queue=wiring.queue(),
            may_publish_code=self._may_publish_code(name),
        )
        return self._accepted(version)

    def _may_publish_code(self, name: str) -> bool:
        return bool(self.request.user.has_perm(PUBLISH_CODE, Target(Kind.MODEL, name)))

    def _finished(self, source: str) -> AbstractContextManager[tuple[Upload, BinaryIO]]:
        upload_id = source.removeprefix("upload:")
        return finished_upload(
            upload_id, owner=self.actor, files=wiring.partial_files(), clock=wiring.clock()
        )


class VersionView(EditableView):
    """One version, by its number or by an alias: `3`, `@champion`."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"
    tag_fields = (
        "model",
        "version",
        "created_at",
        "state",
        "description",
        "tags",
        "metrics",
        "provenance",
    )

    def lock(self, **path: Any) -> object:
        return locked_version(get_version(path["name"], path["number"]).id)

    def shown(self, **path: Any) -> dict[str, Any]:
        return version_document(get_version(path["name"], path["number"]), self.request)

    @property
    def write_permission(self) -> str:
        deleting = self.request.method == "DELETE"
        return "registry.delete_modelversion" if deleting else "registry.change_modelversion"

    @extend_schema(responses=VersionSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        """One version."""
        return Response(version_document(get_version(name, number), request))

    @extend_schema(
        request=VersionPatch,
        responses=VersionSerializer,
        examples=PATCH_EXAMPLES,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, name: str, number: str) -> Response:
        """Changes the description, and adds tags, metrics and provenance (JSON merge patch).

        A null removes a tag or a metric. Of the provenance only what is still empty is taken.
        """
        changes = read_body(VersionPatch, request)
        version_id = get_version(name, number).id
        version = update_version(version_id=version_id, actor=self.actor, changes=changes)
        return Response(version_document(version, request))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str, number: str) -> Response:
        """Removes a version that no revision uses and no alias points to."""
        version_id = get_version(name, number).id
        delete_version(version_id=version_id, actor=self.actor, serving=wiring.serving())
        return Response(status=204)


def with_places(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The versions with `places`, where they serve, and the steps of pipelines that they are."""
    places = wiring.serving().of([version.id for version in versions])
    steps = steps_of(versions)
    for version in versions:
        version.places = places.get(version.id, [])  # type: ignore[attr-defined]
        version.pipeline_steps_shown = steps.get(version.id, [])  # type: ignore[attr-defined]
    return versions


def version_document(version: ModelVersion, request: Request) -> dict[str, Any]:
    """One version as the API shows it."""
    [shown] = with_places([version])
    return dict(VersionSerializer(shown, context={"request": request}).data)


def _check_size(request: Request) -> None:
    """Before anything is read: what is too large shall not fill the disk first."""
    limit = settings.NEREID_MAX_UPLOAD_BYTES
    # Without a length Django reads nothing, so this is all of the body.
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
        raise RequestDataTooBig(f"an upload has at most {limit} bytes (NEREID_MAX_UPLOAD_BYTES)")


def _part(request: Request) -> tuple[BinaryIO, str]:
    upload = request.FILES.get("artifact")
    if upload is None:
        raise InvalidInputError(
            [Violation("/artifact", "required", "send the model file as the part 'artifact'")]
        )
    return upload, upload.name or ""


def _metadata(text: str) -> VersionMetadata:
    document = parse_json(text, "/metadata")
    return _version_metadata(read_object(VersionMetadataSerializer, document, "/metadata"))


def _version_metadata(values: dict[str, Any]) -> VersionMetadata:
    signature = values.pop("signature")
    return VersionMetadata(
        number=values.pop("version"),
        signature=None if signature is None else read_signature(signature),
        **values,
    )
