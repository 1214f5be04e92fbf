"""`/lint/`: what the linter finds in a Triton repository, or in a profile, before it comes here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.adapters.triton.pbtxt import MAX_TEXT, UnreadableConfigError, config_values
from control_plane.api.fields import NumberField, TextField, WholeNumberField
from control_plane.api.policy_resource import FindingSerializer
from control_plane.api.profiles_resource import ProfileDocumentField
from control_plane.api.resource import ResourceView, read_body
from control_plane.domain.access import Kind
from control_plane.domain.adoption.as_pipeline import AsPipeline, as_pipeline
from control_plane.domain.adoption.reading import Reading
from control_plane.domain.adoption.repository import Directory, readings
from control_plane.domain.adoption.repository_lint import Promise, lint_repository
from control_plane.domain.findings import Finding
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.pipelines.document import Runs, read_runs
from control_plane.domain.registry.frameworks import always_code
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.serving.own_profile import read_own_profile
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.endpoints.serving_findings import hardware, version_findings

MAX_DIRECTORIES = 1000
MAX_CHARACTERS = 4 << 20
"""Of all configurations together: they are read while the caller waits."""

MAX_FILES = 2000
MAX_VERSIONS = 500
MAX_TEXTS = 4 << 20
"""Characters of all configurations together: a second of reading for each million or two."""

EXAMPLE = OpenApiExample(
    "a repository of one model",
    value={
        "models": [
            {
                "name": "ResNet50",
                "config": 'backend: "onnxruntime"\nmax_batch_size: 8\n'
                "dynamic_batching { preferred_batch_size: [ 16 ] }\n",
                "versions": {"1": ["model.onnx"]},
                "files": ["labels.txt"],
            }
        ],
        "p99_ms": 20,
    },
    request_only=True,
)


MEMBER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "integer", "minimum": 1},
        "pipeline": {"type": "string", "description": "in place of a model"},
        "revision": {"type": "integer", "minimum": 1, "description": "of that pipeline"},
    },
}


class _FilesField(serializers.ListField):
    child = TextField(max_length=4096)

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_FILES, **options)


class DirectorySerializer(serializers.Serializer[Any]):
    """One model's directory, as its owner describes it: names and its configuration, no content."""

    name = TextField(max_length=1024)
    config = TextField(
        max_length=MAX_TEXT,
        allow_null=True,
        allow_blank=True,
        default=None,
        help_text="the text of its config.pbtxt; null: there is none",
    )
    versions = serializers.DictField(
        child=_FilesField(),
        default=None,
        allow_null=True,
        help_text="by number: the files in that folder; null: it is a configuration alone",
    )
    files = _FilesField(default=list, help_text="beside the folders")


@extend_schema_field(MEMBER)
class MemberField(serializers.JSONField):
    """A version or a pipeline's revision that is here."""


class LintRequest(serializers.Serializer[Any]):
    """The directories of a repository, or a profile; and what they are to keep, and to run on."""

    models = DirectorySerializer(many=True, required=False, default=list)
    rename = serializers.DictField(
        child=TextField(max_length=255), default=dict, help_text="directory -> name here"
    )
    members = serializers.DictField(
        child=MemberField(),
        default=dict,
        help_text="what ensembles name and the repository has not -> what it is here: "
        "{model, version} or {pipeline, revision}",
    )
    profile = ProfileDocumentField(required=False, default=None)
    p99_ms = NumberField(default=None, allow_null=True, min_value=0)
    cores = WholeNumberField(
        default=None, allow_null=True, min_value=1, help_text="else of the smallest server here"
    )
    gpus = WholeNumberField(default=None, allow_null=True, min_value=0)


class NoteSerializer(serializers.Serializer[Any]):
    """A place of the configuration, and what becomes of it."""

    pointer = serializers.CharField()
    detail = serializers.CharField()


class BecomesSerializer(serializers.Serializer[Any]):
    """What a model would be here."""

    name = serializers.CharField()
    framework = serializers.CharField(help_text="empty: none that is served; ensemble: a pipeline")
    main_file = serializers.CharField(help_text="in a version's folder")
    placed_as = serializers.CharField(help_text="what it is called here")
    code = serializers.BooleanField(help_text="its versions can carry code, which takes a right")
    signature = serializers.JSONField(allow_null=True, help_text="null: its file says it")
    profile = ProfileDocumentField(allow_null=True)
    model_config = serializers.JSONField(help_text="what goes with each version")
    pipeline = serializers.JSONField(
        allow_null=True,
        help_text="of an ensemble: the document, without the revisions of inner pipelines",
    )
    changed = NoteSerializer(many=True)
    refused = NoteSerializer(many=True, help_text="why it is not taken; empty: it is")


class LintedSerializer(serializers.Serializer[Any]):
    """One model's findings, the worst first."""

    name = serializers.CharField(help_text="the directory; empty for a profile")
    findings = FindingSerializer(many=True)
    becomes = BecomesSerializer(allow_null=True, help_text="null for a profile")


class LintResultSerializer(serializers.Serializer[Any]):
    """What was found."""

    results = LintedSerializer(many=True)


class LintView(ResourceView):
    """The linter, for what is not here yet. Nothing is written, and nothing is kept."""

    read_permission = "registry.view_profile"
    write_permission = "registry.view_profile"

    @extend_schema(request=LintRequest, responses={200: LintResultSerializer}, examples=[EXAMPLE])
    def post(self, request: Request) -> Response:
        """What the linter finds in the directories of a Triton repository or in a profile, and what
        would become of each model here."""
        body = read_body(LintRequest, request)
        servers = _hardware(body)
        if body["profile"] is not None:
            results = [_profile(body["profile"], Promise(body["p99_ms"]), servers)]
        else:
            results = _repository(body, Promise(body["p99_ms"]), servers)
        return Response(LintResultSerializer({"results": results}).data)


class VersionFindingsSerializer(serializers.Serializer[Any]):
    """What the linter finds in a version under its serving profile."""

    findings = FindingSerializer(many=True)


class VersionFindingsView(ResourceView):
    """The linter, for a version that is here."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"

    @extend_schema(responses=VersionFindingsSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        """What the linter finds in a version with its serving profile, on the servers there are."""
        found = version_findings(name, number)
        return Response(VersionFindingsSerializer({"findings": found}).data)


def _hardware(body: Mapping[str, Any]) -> Hardware:
    known = hardware()
    given = {key: body[key] for key in ("cores", "gpus") if body[key] is not None}
    return replace(known, **given)


def _profile(document: Any, promise: Promise, servers: Hardware) -> dict[str, Any]:
    try:
        profile = read_own_profile("profile", document)
    except InvalidInputError as error:
        found = [Finding("error", "refused", v.detail, v.pointer) for v in error.violations]
    else:
        found = lint(Subject(profile, p99_ms=promise.p99_ms), servers)
    return {"name": "", "findings": found, "becomes": None}


def _repository(
    body: Mapping[str, Any], promise: Promise, servers: Hardware
) -> list[dict[str, Any]]:
    directories = _directories(body["models"])
    read = readings(directories, _renamed(body["rename"], directories))
    elsewhere = _elsewhere(body["members"], directories)
    found = lint_repository(directories, read, promise, servers, elsewhere)
    known = {one.name: one for one in directories}
    names = {directory: name for directory, (name, _) in read.items()}
    results = []
    for one in directories:
        becomes = _becomes(*read[one.name])
        if one.ensemble is not None:
            becomes |= _pipeline(as_pipeline(one, known, names, elsewhere), becomes)
        results.append({"name": one.name, "findings": found[one.name], "becomes": becomes})
    return results


def _directories(described: list[dict[str, Any]]) -> list[Directory]:
    found: list[Violation] = []
    if not 0 < len(described) <= MAX_DIRECTORIES:
        detail = f"a repository of 1 to {MAX_DIRECTORIES} models, or a profile"
        raise InvalidInputError([Violation("/models", "required", detail)])
    if sum(len(one["config"] or "") for one in described) > MAX_CHARACTERS:
        detail = f"the configurations have more than {MAX_CHARACTERS} characters: send fewer"
        raise InvalidInputError([Violation("/models", "max_length", detail)])
    directories = []
    seen: set[str] = set()
    for i, one in enumerate(described):
        if one["name"] in seen:
            found.append(Violation(f"/models/{i}/name", "twice", "there is one of that name"))
        seen.add(one["name"])
        numbered = one["versions"] or {}
        if len(numbered) > MAX_VERSIONS:
            detail = f"at most {MAX_VERSIONS} versions"
            found.append(Violation(f"/models/{i}/versions", "too_many", detail))
        numbers = [key for key in numbered if not _is_number(key)]
        if numbers:
            detail = f"{numbers[0][:40]!r}: a version is a number from 1 to 999999999"
            found.append(Violation(f"/models/{i}/versions", "range", detail))
        else:
            directories.append(_directory(one))
    if found:
        raise InvalidInputError(found[:20])
    return directories


def _directory(one: Mapping[str, Any]) -> Directory:
    config, problem = None, ""
    if one["config"] is not None:
        try:
            config = config_values(one["config"])
        except UnreadableConfigError as error:
            problem = str(error)
    versions = {int(number): tuple(files) for number, files in (one["versions"] or {}).items()}
    alone = one["versions"] is None
    return Directory(one["name"], config, problem, versions, tuple(one["files"]), alone)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and text[:1] != "0" and len(text) <= 9


def _renamed(given: Mapping[str, str], directories: list[Directory]) -> Mapping[str, str]:
    known = {one.name for one in directories}
    found = []
    for old, new in given.items():
        if old not in known:
            found.append(Violation("/rename", "not_found", f"there is no directory {old[:80]!r}"))
        if not is_public_name(new):
            detail = f"{new[:80]!r}: a name has {PUBLIC_NAME_RULE}"
            found.append(Violation("/rename", "invalid_name", detail))
    if len(set(given.values())) < len(given):
        found.append(Violation("/rename", "twice", "two directories would have one name"))
    if found:
        raise InvalidInputError(found[:20])
    return given


def _elsewhere(given: Mapping[str, Any], directories: list[Directory]) -> dict[str, Runs]:
    known = {one.name for one in directories}
    found: list[Violation] = []
    members = {}
    for name, document in given.items():
        where = f"/members/{pointer_part(name)}"
        if name in known:
            detail = f"the repository has a directory {name[:80]!r}: it comes in with it"
            found.append(Violation(where, "exclusive", detail))
        members[name] = read_runs(document, where, found)
    if found:
        raise InvalidInputError(found[:20])
    return members


def _pipeline(found: AsPipeline, becomes: Mapping[str, Any]) -> dict[str, Any]:
    """What an ensemble becomes, laid over what any directory does."""
    where = "/ensemble_scheduling/step"
    return {
        "pipeline": found.document,
        "changed": [{"pointer": where, "detail": words} for words in found.pinned],
        "refused": [*becomes["refused"], *found.refused],
    }


def _becomes(name: str, reading: Reading) -> dict[str, Any]:
    parameters = {key: {"string_value": value} for key, value in reading.parameters.items()}
    config = reading.details.to_document()
    return {
        "name": name,
        "framework": reading.framework,
        "main_file": reading.main_file,
        "placed_as": reading.main_file,
        "code": always_code(reading.framework) or bool(reading.details.code),
        "signature": reading.signature.to_document() if reading.signature else None,
        "profile": reading.profile.to_document() if reading.profile else None,
        "model_config": config | ({"parameters": parameters} if parameters else {}),
        "pipeline": None,
        "changed": reading.changed,
        "refused": reading.refused,
    }
