"""What is said of a model and of a version, edited on pages made for it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.registry.models import Artifact, Model, ModelVersion
from control_plane.registry.services import record_version, update_model
from control_plane.registry.version_edits import update_version
from tests.integration.console.conftest import logged_in
from tests.integration.console.forms import form_fields

PROVENANCE = "provenance.git_commit"


def page_of(record: Any, page: str = "edit") -> str:
    meta = record._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=[record.pk])


def errors(answer: Any) -> list[str]:
    """Everything that stands at a field or a row."""
    draft = answer.context["draft"]
    rows = [text for one in draft.lists.values() for row in one.rows for text in row.errors]
    return [*(text for texts in draft.errors.values() for text in texts), *rows]


@pytest.fixture
def version(digits: Endpoint) -> ModelVersion:
    found = ModelVersion.objects.get(number=2)
    return update_version(
        version_id=found.id,
        actor="ada",
        changes={
            "description": "old",
            "tags": {"stage": "trial", "team": ""},
            "metrics": {"loss": 0.5, "holdout": {"accuracy": 0.9}},
            "provenance": {"git_commit": "9f2c"},
        },
    )


def test_a_version_is_edited_through_the_service(admin: Client, version: ModelVersion) -> None:
    there = page_of(version)
    fields = form_fields(admin.get(there))
    assert PROVENANCE not in fields  # it is said, and for good
    fields["description"] = ["**new**\r\nlines"]
    fields["tag.key"] = ["stage", "reviewed", ""]
    fields["tag.value"] = ["live", "", ""]
    fields["metric.data_set"] = ["", "default", "holdout", "", "later"]
    fields["metric.name"] = ["accuracy", "loss", "accuracy", "", "f1"]
    fields["metric.value"] = ["0.92", "0.4", "0.95", "", "0,5"]
    fields["provenance.run_id"] = ["run-7"]
    fields["provenance.name"], fields["provenance.value"] = ["dataset"], ["digits-2026"]
    answer = admin.post(there, fields)
    assert answer.status_code == 302
    assert answer["Location"] == page_of(version, "change")
    version.refresh_from_db()
    assert version.description == "**new**\nlines"
    assert version.tags == {"stage": "live", "reviewed": ""}
    assert version.metrics == {
        "accuracy": 0.92,
        "loss": 0.4,
        "holdout": {"accuracy": 0.95},
        "later": {"f1": 0.5},
    }
    assert version.provenance == {
        "git_commit": "9f2c",
        "run_id": "run-7",
        "dataset": "digits-2026",
    }
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.action, event.actor) == ("version.update", "ada")
    assert event.before["tags"] == {"stage": "trial", "team": ""}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tag.key": ["a", "a"], "tag.value": ["1", "2"]}, "stands twice"),
        ({"tag.key": [""], "tag.value": ["x"]}, "a tag is a word"),
        ({"metric.value": ["many"]}, "no number"),
        ({"metric.name": [""]}, "has a name"),
        ({"metric.value": ["1e999"]}, "finite"),
        ({"provenance.run_id": ["x" * 201]}, "at most 200"),
        ({"provenance.trained_at": ["yesterday"]}, "a time looks like"),
        ({"provenance.training_data_digest": ["abc"]}, "sha256"),
        ({"provenance.name": [""], "provenance.value": ["x"]}, "has a name"),
        ({PROVENANCE: ["beef"]}, "says git_commit already"),
        ({"description": ["x" * 70_000]}, "at most"),
    ],
)
def test_what_cannot_be_is_said_where_it_stands(
    admin: Client, version: ModelVersion, fields: dict[str, list[str]], words: str
) -> None:
    there = page_of(version)
    before = AuditEvent.objects.count()
    sent = {**form_fields(admin.get(there)), **fields}
    for name in ("metric.data_set", "metric.name", "metric.value"):
        if any(key.startswith("metric") for key in fields):
            sent[name] = fields.get(name, ["f1" if name == "metric.name" else "1"])
    answer = admin.post(there, sent)
    assert answer.status_code == 400
    assert any(words in text for text in errors(answer)), errors(answer)
    assert AuditEvent.objects.count() == before
    shown = form_fields(answer)
    for name, texts in fields.items():
        assert shown[name][: len(texts)] == texts, "what was typed is still there"


def test_what_somebody_else_said_meanwhile_stays(admin: Client, version: ModelVersion) -> None:
    there = page_of(version)
    fields = form_fields(admin.get(there))
    update_version(
        version_id=version.id,
        actor="ben",
        changes={"tags": {"ben": "was here"}, "metrics": {"f1": 1}, "description": "ben's"},
    )
    fields["tag.key"].append("mine")
    fields["tag.value"].append("")
    assert admin.post(there, fields).status_code == 302
    version.refresh_from_db()
    assert version.tags.keys() == {"stage", "team", "ben", "mine"}
    assert version.metrics["f1"] == 1
    assert version.description == "ben's"
    answer = admin.post(there, {**fields, "description": ["mine"]})
    assert any("somebody changed it meanwhile" in text for text in errors(answer))
    assert admin.post(there, {**fields, "seen": ["{nonsense"]}).status_code == 302


def test_a_model_is_edited_through_the_service(admin: Client, digits: Endpoint) -> None:
    model = update_model(
        name="digits", actor="ada", changes={"tags": {"team": "vision"}, "sla": {"p99_ms": 20}}
    )
    there = page_of(model)
    fields = form_fields(admin.get(there))
    assert fields["sla.p99_ms"] == ["20"]
    fields |= {
        "description": ["Reads digits"],
        "owner": ["ben"],
        "sla.p99_ms": [""],
        "sla.required_qps": ["12.5"],
        "tag.key": ["stage"],
        "tag.value": ["live"],
    }
    assert admin.post(there, fields).status_code == 302
    model.refresh_from_db()
    assert (model.description, model.owner) == ("Reads digits", "ben")
    assert model.tags == {"stage": "live"}
    assert model.sla == {"required_qps": 12.5}
    count = AuditEvent.objects.count()
    assert admin.post(there, form_fields(admin.get(there))).status_code == 302
    assert AuditEvent.objects.count() == count, "nothing differs, nothing is written"
    for name, text in (("sla.availability_percent", "101"), ("sla.p99_ms", "fast")):
        answer = admin.post(there, {**fields, name: [text]})
        assert answer.status_code == 400
        assert answer.context["draft"].errors.keys() == {name}


def test_a_version_page_has_its_life_and_what_it_carries(
    admin: Client, version: ModelVersion
) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(
        source="s3://lab/digits.onnx", code=["model.py"], created_by="ada"
    )
    record_version(version, "version.create", "ada", after={"source": "s3://lab/digits.onnx"})
    record_version(version, "version.fetch", "nereid")
    record_version(version, "version.rejected", "nereid", reason="opset 99")
    text = admin.get(page_of(version, "change")).content.decode()
    assert "s3://lab/digits.onnx" in text
    assert "ada published it, who had the right to publish code" in text
    assert reverse("api:download", args=["digits", 2]) in text
    life = admin.get(page_of(version, "change")).context["life"]
    assert [(step.state, step.actor, step.reason) for step in life] == [
        ("rejected", "nereid", "opset 99"),
        ("validating", "nereid", ""),
        ("uploading", "ada", ""),
    ]


def test_a_version_page_says_what_its_examples_said_on_each_server(
    admin: Client, version: ModelVersion
) -> None:
    examples = [
        {"inputs": {}, "outputs": {"logits": [[1]]}, "tolerance": 0.01},
        {"inputs": {}, "outputs": {"logits": [[2]]}},
    ]
    sha256, size = wiring.artifact_store().add(io.BytesIO(json.dumps(examples).encode()))
    golden = Artifact.objects.create(sha256=sha256, size=size)
    ModelVersion.objects.filter(pk=version.pk).update(golden=golden)
    there = page_of(version, "change")
    page = admin.get(there)
    assert page.context["golden_results"] == []
    assert "2 examples of" in page.content.decode()
    assert "tolerance 0.0001 to 0.01" in page.content.decode()
    physical = version.revisions.first().revisionversion_set.get(version=version).physical
    Placement.objects.update(ready_models=[physical])
    [result] = admin.get(there).context["golden_results"]
    assert (result.server, result.passed) == ("local", True)
    generation = version.revisions.first().generation
    Placement.objects.update(
        ready_models=[], failed=generation, failure=f"{physical}: logits[0] is 3, not 1"
    )
    [result] = admin.get(there).context["golden_results"]
    assert (result.passed, result.words) == (False, f"{physical}: logits[0] is 3, not 1")


def test_who_may_only_look_edits_nothing(version: ModelVersion) -> None:
    reader = logged_in("rita", "registry.view_model", "registry.view_modelversion", is_staff=True)
    for record in (version, version.model):
        assert reader.get(page_of(record)).status_code == 403
        assert reader.post(page_of(record), {}).status_code == 403
        assert page_of(record) not in reader.get(page_of(record, "change")).content.decode()
    assert Model.objects.get().description == ""
