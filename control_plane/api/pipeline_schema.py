"""Pipelines in the OpenAPI document: the document that is sent, and what is shown of one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from control_plane.api.policy_resource import FindingSerializer
from control_plane.api.registry_fields import PlaceSerializer
from control_plane.domain.pipelines.document import MAX_STEPS
from control_plane.domain.pipelines.patterns import PipelineKind, Scale, Score

_MAP = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "the step's own tensor -> the pipeline's; left out: the one of the same name",
    "example": {"image": "pixels"},
}
_NAMES = {"type": "array", "items": {"type": "string"}}
_STEP = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "description": "by default that of what it runs"},
        "model": {"type": "string"},
        "version": {
            "oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}],
            "description": "its number; in what is sent also an alias (@champion), whose number "
            "is stored",
        },
        "pipeline": {"type": "string", "description": "in place of a model"},
        "revision": {"type": "integer", "minimum": 1, "description": "of that pipeline"},
        "inputs": _MAP,
        "outputs": _MAP,
        "at_least": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "in a cascade: the confidence from which on the step is believed",
        },
        "weight": {"type": "number", "minimum": 0, "description": "in a weighted average"},
    },
}
DOCUMENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["steps"],
    "properties": {
        "kind": {
            "type": "string",
            "enum": [kind.value for kind in PipelineKind],
            "default": PipelineKind.ENSEMBLE.value,
        },
        "description": {"type": "string", "maxLength": 500},
        "inputs": {**_NAMES, "description": "left out: what steps take and none gives"},
        "outputs": {**_NAMES, "description": "left out: what steps give and none takes"},
        "confidence": {
            "type": "object",
            "additionalProperties": False,
            "required": ["output"],
            "properties": {
                "output": {"type": "string"},
                "score": {"type": "string", "enum": [score.value for score in Score]},
            },
            "description": "of a cascade: the output that says how sure a step is",
        },
        "scale": {
            "type": "string",
            "enum": [scale.value for scale in Scale],
            "description": "of a weighted average: what is done to outputs before they are joined",
        },
        "config": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "response_cache": {"type": "object"},
                "parameters": {"type": "object", "additionalProperties": {"type": "string"}},
                "metric_tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "output": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "label_filename"],
                        "properties": {
                            "name": {"type": "string"},
                            "label_filename": {"type": "string"},
                        },
                    },
                    "description": "outputs with labels of their own",
                },
                "label_files": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                    "description": "the labels by file, in the order of the values",
                },
            },
            "description": "of an ensemble: what its configuration says beside that, in "
            "Triton's words",
        },
        "steps": {"type": "array", "items": _STEP, "minItems": 1, "maxItems": MAX_STEPS},
    },
    "description": "Steps that hand tensors on to each other: docs/pipelines.md explains it.",
}
SENT = {
    "description": "Digits from raw pixels",
    "steps": [
        {"name": "scale", "model": "scaler", "version": 1, "outputs": {"scaled": "image"}},
        {"name": "classify", "model": "digits", "version": "@champion"},
    ],
    "outputs": ["logits"],
}
EXAMPLE = OpenApiExample("two steps", value=SENT, request_only=True)


@extend_schema_field(DOCUMENT)
class DocumentField(serializers.JSONField):
    """A pipeline as it may be sent again."""


class TensorSerializer(serializers.Serializer[Any]):
    """A tensor with its whole shape; -1 is any size, the first one the batch where there is one."""

    name = serializers.CharField()
    datatype = serializers.CharField()
    shape = serializers.ListField(child=serializers.IntegerField())


class StepSerializer(serializers.Serializer[Any]):
    """A step as it runs; those of inner pipelines are written out as `outer/inner`."""

    name = serializers.CharField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    inputs = serializers.DictField(child=serializers.CharField(), help_text="own -> pipeline's")
    outputs = serializers.DictField(child=serializers.CharField(), help_text="own -> pipeline's")


class OwnStepSerializer(StepSerializer):
    """A step as it is written, with each tensor that is handed to it and taken from it."""

    model = serializers.CharField(help_text="or the pipeline's name")
    version = serializers.IntegerField(help_text="or the pipeline's revision")
    pipeline = serializers.BooleanField()


class CheckedSerializer(serializers.Serializer[Any]):
    """What callers of a pipeline meet, and what runs in it."""

    document = DocumentField()
    inputs = TensorSerializer(many=True)
    outputs = TensorSerializer(many=True)
    max_batch_size = serializers.IntegerField(help_text="0: it takes no batches")
    decoupled = serializers.BooleanField(help_text="a request may have any number of responses")
    steps = StepSerializer(many=True)
    own_steps = OwnStepSerializer(many=True)
    tensors = TensorSerializer(
        many=True, help_text="all that are handed on, by the pipeline's name"
    )
    findings = FindingSerializer(many=True)


class CheckAnswerSerializer(CheckedSerializer):
    """A pipeline that would be taken; `diff` is held against its newest revision."""

    diff = serializers.CharField(help_text="unified diff of the documents; empty: the same")


class PipelineSerializer(CheckedSerializer):
    """A revision of a pipeline as the API shows it."""

    name = serializers.CharField()
    revision = serializers.IntegerField()
    error = serializers.CharField(help_text="why it can no longer be served; empty: it can")
    serves_in = PlaceSerializer(many=True)
    changed_at = serializers.DateTimeField()
    changed_by = serializers.CharField()
