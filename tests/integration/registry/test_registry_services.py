"""What stands in the way of a change is told shortly, and cheaply."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.models import Endpoint, Revision, RevisionVersion
from control_plane.endpoints.serving import RevisionPlaces
from control_plane.registry import services
from control_plane.registry.lifecycle import delete_version, why_kept
from control_plane.registry.models import Artifact, Model, ModelVersion
from control_plane.registry.services import (
    create_model,
    delete_model,
    update_model,
)

pytestmark = pytest.mark.django_db


def used_version(revisions: int) -> ModelVersion:
    version = ModelVersion.objects.create(
        model=Model.objects.create(name="digits"),
        number=1,
        framework="onnx",
        artifact=Artifact.objects.create(sha256="0" * 64, size=1),
        filename="model.onnx",
        profile="realtime",
    )
    for number in range(1, revisions + 1):
        endpoint = Endpoint.objects.create(name=f"endpoint-{number}")
        revision = Revision.objects.create(
            endpoint=endpoint, number=number, generation=number, policy={}, error="none"
        )
        RevisionVersion.objects.create(revision=revision, version=version, physical="x")
    return version


def test_a_version_in_use_says_by_whom_in_few_words() -> None:
    version = used_version(revisions=30)
    with (
        CaptureQueriesContext(connection) as few,
        pytest.raises(ConflictError, match=r"digits:1 is used by .*") as refusal,
    ):
        delete_version(version_id=version.id, actor="ada", serving=RevisionPlaces())
    named = "endpoint-28 revision 28, endpoint-29 revision 29, endpoint-30 revision 30 and 27 more"
    assert named in str(refusal.value)
    assert why_kept(version, RevisionPlaces()) == str(refusal.value)
    assert len(few) < 13, [query["sql"][:80] for query in few]
    assert ModelVersion.objects.exists()


def test_a_model_that_vanished_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for change in (
        lambda: update_model(name="gone", actor="ada", changes={"owner": "eve"}),
        lambda: delete_model(name="gone", actor="ada"),
        lambda: services.locked_model("gone"),
    ):
        with pytest.raises(NotFoundError, match="gone"):
            change()


def test_the_console_is_told_the_same_limits() -> None:
    with pytest.raises(InvalidInputError, match="/description"):
        create_model(name="m", actor="ada", description="x" * 10_001)
    with pytest.raises(InvalidInputError, match="/tags"):
        create_model(name="m", actor="ada", tags={"a": "\0"})
    assert not Model.objects.exists()
