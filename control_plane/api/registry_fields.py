"""Fields of models and versions whose rules are the domain's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from control_plane.api.fields import TextField
from control_plane.domain.registry.metrics import check_metrics
from control_plane.domain.registry.provenance import check_provenance
from control_plane.domain.registry.service_level import LIMITS, merged_service_level
from control_plane.domain.violations import InvalidInputError

_FIGURE = {"type": "number"}

METRICS = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [_FIGURE, {"type": "object", "additionalProperties": _FIGURE}]
    },
    "description": "a number is of the default data set; an object has those of the data set "
    "of its name",
    "example": {"accuracy": 0.98, "holdout-2026": {"accuracy": 0.97}},
}

PROVENANCE = {
    "type": "object",
    "additionalProperties": True,
    "description": "git_commit, run_id, training_data_digest, author and trained_at are checked; "
    "others are kept as they are",
    "example": {"git_commit": "9f2c1a7", "run_id": "a1b2", "trained_at": "2026-11-24T13:00:00Z"},
}


MODEL_CONFIG = {
    "type": "object",
    "additionalProperties": True,
    "description": "What Triton's model configuration says of the model itself, in its words: of "
    "inputs and outputs beside type and shape, batch_input, batch_output, model_warmup, "
    "version_policy, parameters (docs/adoption.md)",
    "example": {"output": [{"name": "logits", "label_filename": "labels.txt"}]},
}


class _DocumentField(serializers.Field[Any, Any, Any, Any]):
    """A JSON object as it is; what the domain finds wrong with it stands at its place."""

    def check(self, data: Any) -> None:
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValidationError("not a JSON object", code="not_a_dict")
        nested(lambda: self.check(data))
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(METRICS)
class MetricsField(_DocumentField):
    """Figures by data set; with `removing` a null stands for one that goes."""

    def __init__(self, *, removing: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._removing = removing

    def check(self, data: Any) -> None:
        check_metrics(data, "", removing=self._removing)


@extend_schema_field(PROVENANCE)
class ProvenanceField(_DocumentField):
    """Where a version comes from."""

    def check(self, data: Any) -> None:
        check_provenance(data, "")


class TagsField(serializers.DictField):
    """Tags; with `removing` a null stands for one that goes."""

    def __init__(self, *, removing: bool = False, **options: Any) -> None:
        super().__init__(child=TextField(allow_blank=True, allow_null=removing), **options)


SLA = {
    "type": "object",
    "nullable": True,
    "additionalProperties": False,
    "properties": {
        name: {
            "type": "number",
            "exclusiveMinimum": True,
            "minimum": 0,
            "maximum": highest,
            "nullable": True,
            "description": meaning,
        }
        for name, (highest, meaning) in LIMITS.items()
    },
}


@extend_schema_field(SLA)
class SlaField(serializers.Field[Any, Any, Any, Any]):
    """A service level, or null for none; a null in it removes one of its fields."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def to_internal_value(self, data: Any) -> Any:
        nested(lambda: merged_service_level({}, data, ""))
        return data

    def to_representation(self, value: Any) -> Any:
        return value or None


def nested(check: Callable[[], object]) -> None:
    """Runs a check of the domain; its violations become a field's, nested as DRF has them.

    Raises:
        ValidationError: there are some.
    """
    try:
        check()
    except InvalidInputError as error:
        tree: dict[str, Any] = {}
        for violation in error.violations:
            node = tree
            *parents, last = violation.pointer.strip("/").split("/")
            for parent in parents:
                node = node.setdefault(_plain(parent), {})
            node.setdefault(_plain(last) or "non_field_errors", []).append(
                ErrorDetail(violation.detail, code=violation.code)
            )
        top = tree.pop("non_field_errors", None)
        raise ValidationError(tree or top) from error


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


@extend_schema_field(MODEL_CONFIG)
class ModelConfigField(serializers.JSONField):
    """What a configuration says of the model itself; the registry checks it."""


class PlaceSerializer(serializers.Serializer[Any]):
    """One endpoint that a version serves in."""

    endpoint = serializers.CharField()
    revision = serializers.IntegerField()
    arm = serializers.CharField(help_text="of several, all: a version may be a step of each")
    pipeline = serializers.CharField(
        help_text="the pipeline and revision that it is a step of, such as digits-png:2; empty: "
        "it is the arm itself"
    )
    share = serializers.FloatField(help_text="percent")
    live = serializers.BooleanField(help_text="false: the revision is on its way")


class VersionPatch(serializers.Serializer[Any]):
    """What can still be said of a version: tags, metrics and provenance are merged."""

    description = TextField(required=False, allow_blank=True)
    tags = TagsField(required=False, removing=True)
    metrics = MetricsField(required=False, removing=True)
    provenance = ProvenanceField(required=False)


class VersionUpload(serializers.Serializer[Any]):
    """The multipart form of an upload."""

    artifact = serializers.FileField(help_text="the model file")
    metadata = serializers.CharField(required=False, help_text="JSON, see VersionMetadata")
