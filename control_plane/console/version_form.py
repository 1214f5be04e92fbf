"""The form on which a version is uploaded."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from control_plane.adapters.profiles import DEFAULT_PROFILE
from control_plane.console.record_admin import show
from control_plane.console.rows_field import RowsField
from control_plane.console.tensor_rows import INPUT, OUTPUT, inputs_in, outputs_in
from control_plane.console.word_rows import METRIC, MORE_PROVENANCE, TAG, Rows, metrics_in, tags_in
from control_plane.domain.registry.frameworks import UPLOADED
from control_plane.domain.registry.provenance import KNOWN
from control_plane.domain.signature import Signature, read_signature
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError
from control_plane.registry.models import ModelVersion
from control_plane.registry.profiles import KnownProfile, all_profiles
from control_plane.registry.services import VersionMetadata

FRAMEWORK_WORDS = {
    "onnx": "ONNX: a model.onnx, or an archive with it and its data",
    "pytorch": "PyTorch: TorchScript (.pt) or torch.export (.pt2)",
    "python": "Python: a model.py, or an archive with it and its modules",
    "transform": "Transform: a transform.yaml, or an archive with it and its files",
    "tensorrt": "TensorRT: a serialised engine (.plan)",
    "tensorflow": "TensorFlow: a SavedModel in an archive, or a GraphDef",
    "openvino": "OpenVINO: an archive with model.xml and model.bin",
    "vllm": "vLLM: a model.json with the engine's arguments",
    "dali": "DALI: a serialised pipeline (.dali)",
    "custom": "Custom: an archive whose config.pbtxt names a backend of your own",
}
"""By framework: which files it is. A framework without words would be no choice to anybody."""

NEEDS = (
    "ONNX and torch.export files and transforms say what they take and give. TorchScript does not, "
    "nor does Python without a config.pbtxt in its archive, nor what servers of NVIDIA's alone can "
    "open (TensorRT and all below it): write their inputs and outputs below. All but ONNX, "
    "transforms and OpenVINO can carry code, which takes the right to publish code."
)

POINTERS = {
    "/artifact": "file",
    "/version": "number",
    "/signature": "inputs",
    "/signature/inputs": "inputs",
    "/signature/outputs": "outputs",
    **{f"/provenance/{name}": name for name in KNOWN},
}
"""Where a refusal points to -> the field that it is about."""

_LABELS = {
    "git_commit": ("Git commit", "4 to 64 hex digits"),
    "run_id": ("Run", "of your tracking server"),
    "training_data_digest": ("Training data", "sha256, or algorithm:digest"),
    "author": ("Author", ""),
    "trained_at": ("Trained at", "2026-11-24T13:00:00Z"),
}


def _more_provenance(rows: Rows) -> dict[str, str]:
    found = {}
    for row in rows.once(
        lambda row: f"/provenance/{pointer_part(row.texts[0])}", "this field stands twice"
    ):
        name, value = row.texts
        if not name:
            row.errors.append("a field has a name")
        elif name in KNOWN:
            row.errors.append(f"{name} has a field of its own above")
        found[name] = value
    return found


def _said(name: str) -> forms.CharField:
    label, placeholder = _LABELS[name]
    widget = UnfoldAdminTextInputWidget({"placeholder": placeholder})
    return forms.CharField(label=label, required=False, max_length=200, widget=widget)


def _described(known: KnownProfile) -> str:
    said = known.profile.description if known.profile else ""
    return f"{known.name}: {said}" if said else known.name


class VersionForm(forms.ModelForm):
    """What an uploader says of a version."""

    file = forms.FileField(
        label="Model file",
        widget=UnfoldAdminFileFieldWidget,
        help_text="It is checked before anything of it is stored.",
    )
    framework = forms.ChoiceField(
        choices=[(name, FRAMEWORK_WORDS[name]) for name in UPLOADED],
        widget=UnfoldAdminSelectWidget,
        help_text=NEEDS,
    )
    profile = forms.ChoiceField(
        label="Serving profile",
        initial=DEFAULT_PROFILE,
        choices=lambda: [(p.name, _described(p)) for p in all_profiles() if p.profile],
        widget=UnfoldAdminSelectWidget,
    )
    inputs = RowsField(INPUT, inputs_in, "Add an input")
    outputs = RowsField(OUTPUT, outputs_in, "Add an output")
    description = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="Markdown.",
    )
    metrics = RowsField(
        METRIC,
        metrics_in,
        "Add a figure",
        help_text="Figures of your evaluation. Without a data set they belong to the default one.",
    )
    tags = RowsField(
        TAG, tags_in, "Add a tag", help_text="Words to find it by, with a value or without."
    )
    git_commit = _said("git_commit")
    run_id = _said("run_id")
    training_data_digest = _said("training_data_digest")
    author = _said("author")
    trained_at = _said("trained_at")
    provenance = RowsField(MORE_PROVENANCE, _more_provenance, "Add a field", label="Other fields")
    number = forms.IntegerField(
        label="Version",
        required=False,
        min_value=1,
        max_value=999_999_999,
        widget=UnfoldAdminIntegerFieldWidget({"placeholder": "the next one"}),
        help_text="Leave it empty for the next number.",
    )
    sha256 = forms.CharField(
        label="SHA-256",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="If you know it: an upload that differs is refused.",
    )

    class Meta:
        model = ModelVersion
        fields = ("model",)

    fieldsets: ClassVar = (
        (None, {"fields": ("model", "file", "framework", "profile")}),
        (
            "What it takes and gives",
            {
                "fields": ("inputs", "outputs"),
                "description": "Leave it empty where the file says it. Shapes are whole, the "
                "batch dimension among them; -1 is a size that varies.",
            },
        ),
        ("What is said of it", {"fields": ("description", "metrics", "tags")}),
        (
            "Where it comes from",
            {
                "fields": (*KNOWN, "provenance"),
                "description": "What is said here is for good. What is left empty can be "
                "filled in later.",
            },
        ),
        ("Number and digest", {"fields": ("number", "sha256")}),
    )

    def _post_clean(self) -> None:
        """Fills in no record: the service makes it, and its refusals are in its own words."""

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        inputs, outputs = values.get("inputs"), values.get("outputs")
        if inputs is None or outputs is None:  # refused already
            return values
        values["signature"] = None
        if inputs or outputs:
            try:
                values["signature"] = read_signature({"inputs": inputs, "outputs": outputs})
            except InvalidInputError as refusal:
                show(self, refusal, POINTERS)
        return values

    def metadata(self) -> VersionMetadata:
        """What the service is told beside the file."""
        values = self.cleaned_data
        known = {name: text for name in KNOWN if (text := values[name].strip())}
        signature: Signature | None = values["signature"]
        return VersionMetadata(
            framework=values["framework"],
            number=values["number"],
            sha256=values["sha256"] or None,
            profile=values["profile"],
            description=values["description"].replace("\r\n", "\n"),
            tags=values["tags"],
            metrics=values["metrics"],
            provenance={**values["provenance"], **known},
            signature=signature,
        )
