"""A model's page and a version's: compared, named, archived and brought back."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint
from control_plane.registry.aliases import set_alias
from control_plane.registry.models import Alias, Model, ModelVersion
from control_plane.registry.version_edits import update_version
from tests.integration.console.conftest import apply, logged_in, policy, ready_version
from tests.support.fakes import FakeQueue


def model_url(page: str = "change") -> str:
    return reverse(f"admin:registry_model_{page}", args=[Model.objects.get(name="digits").pk])


def version_url(number: int, page: str = "change") -> str:
    pk = ModelVersion.objects.get(model__name="digits", number=number).pk
    return reverse(f"admin:registry_modelversion_{page}", args=[pk])


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_versions_are_compared_side_by_side(digits: Endpoint, admin: Client) -> None:
    one, two = (ModelVersion.objects.get(number=number) for number in (1, 2))
    update_version(
        version_id=two.id,
        actor="ada",
        changes={"metrics": {"loss": 0.4, "holdout": {"accuracy": 0.9}}},
    )
    update_version(version_id=one.id, actor="ada", changes={"metrics": {"loss": 0.1}})
    assert one.signature is not None
    one.signature["outputs"][0]["shape"] = [-1, 9]
    one.save(update_fields=["signature"])
    page = admin.get(model_url())
    assert [column.version.number for column in page.context["compared"]] == [2, 1]
    sets = dict(page.context["metric_sets"])
    best = {row.name: [figure.best for figure in row.figures] for row in sets["default"]}
    assert best == {"accuracy": [True, False], "loss": [False, True]}
    assert [figure.value for figure in sets["holdout"][0].figures] == [0.9, None]
    text = page.content.decode()
    assert "output logits: FP32[?, 9] → FP32[?, 10]" in text
    assert text.count('class="n-best"') == 2
    assert "revision 2" in text


def test_what_is_compared_can_be_chosen(digits: Endpoint, admin: Client) -> None:
    model = Model.objects.get()
    for number in range(3, 9):
        ready_version(model, number)
    page = admin.get(f"{model_url()}?v=3&v=7&v=999&v=x&v=-1")
    assert [column.version.number for column in page.context["compared"]] == [7, 3]
    page = admin.get(f"{model_url()}?v=3")
    assert page.context["compared"] == []
    page = admin.get(model_url())
    assert [column.version.number for column in page.context["compared"]] == [8, 7, 2, 1]


def test_the_page_needs_as_many_queries_for_fifty_versions_as_for_two(
    digits: Endpoint, admin: Client
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert admin.get(model_url()).status_code == 200
        return len(caught)

    queries()
    few = queries()
    model = Model.objects.get()
    first = ModelVersion.objects.get(number=1)
    for number in range(3, 49):
        ModelVersion.objects.create(
            model=model, number=number, artifact=first.artifact, metrics={"accuracy": 0.9}
        )
        set_alias(model="digits", alias=f"a{number}", version=number, actor="ada")
    assert queries() == few


def test_an_alias_is_set_moved_and_removed_by_click(digits: Endpoint, admin: Client) -> None:
    there = model_url("aliases")
    answer = admin.post(there, {"alias": "@champion", "version": "1"}, follow=True)
    assert "@champion points to v1" in said(answer)
    assert answer.redirect_chain[0][0].endswith("#aliases")
    admin.post(there, {"alias": "champion", "version": "2"})
    assert Alias.objects.get().version.number == 2
    answer = admin.post(there, {"alias": "champion", "version": "2", "remove": "1"}, follow=True)
    assert "was removed" in said(answer)
    assert not Alias.objects.exists()
    assert AuditEvent.objects.filter(action__startswith="alias.", actor="ada").count() == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"alias": "latest", "version": "1"}, "reserved"),
        ({"alias": "a b", "version": "1"}, "an alias has"),
        ({"alias": "", "version": "1"}, "an alias has"),
        ({"alias": "champion", "version": "9"}, "no version 9"),
        ({"alias": "champion", "version": "x"}, "no version 0"),
        ({"alias": "champion"}, "no version 0"),
        ({"alias": "gone", "remove": "1"}, "no alias"),
        ({"alias": "a\0b", "version": "1"}, "an alias has"),
    ],
)
def test_an_alias_that_cannot_be_says_why(
    digits: Endpoint, admin: Client, fields: dict[str, str], words: str
) -> None:
    answer = admin.post(model_url("aliases"), fields, follow=True)
    assert words in said(answer)
    assert not Alias.objects.exists()


def test_who_may_only_look_moves_no_alias(digits: Endpoint) -> None:
    reader = logged_in("rita", "registry.view_model", "registry.view_modelversion", is_staff=True)
    there = model_url("aliases")
    assert reader.get(there).status_code == 405
    assert reader.post(there, {"alias": "champion", "version": "1"}).status_code == 403
    assert b"Set alias" not in reader.get(model_url()).content
    for name in ("archive", "unarchive"):
        assert reader.post(version_url(1, name)).status_code == 403
    page = reader.get(version_url(1))
    assert page.status_code == 200
    # Of an endpoint that one may not see there is the name, and no link.
    assert reverse("admin:endpoints_endpoint_change", args=[digits.pk]) not in (
        page.content.decode()
    )


def test_what_serves_is_not_archived_and_the_page_says_where(
    digits: Endpoint, admin: Client
) -> None:
    page = admin.get(version_url(2, "archive"))
    assert "endpoint digits (revision 2, arm digits-v2, 10 %)" in page.content.decode()
    assert b'type="submit" class="n-button n-danger"' not in page.content
    assert admin.post(version_url(2, "archive")).status_code == 409
    assert ModelVersion.objects.get(number=2).state == "ready"


def test_a_version_is_archived_and_brought_back(
    digits: Endpoint, admin: Client, queue: FakeQueue, django_capture_on_commit_callbacks: Any
) -> None:
    apply("digits", policy(100), queue)
    page = admin.get(version_url(2, "archive")).content.decode()
    assert "Rolling digits back to revision 2 is refused" in page
    answer = admin.post(version_url(2, "archive"), {"reason": "worse"}, follow=True)
    assert "digits:2 is archived" in said(answer)
    assert "worse" in answer.content.decode()
    assert "is archived, not" not in admin.get(version_url(2, "unarchive")).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin.post(version_url(2, "unarchive"), follow=True)
    assert "being validated" in said(answer)
    assert queue.validations == [ModelVersion.objects.get(number=2).id]
    assert "not archived" in admin.get(version_url(1, "unarchive")).content.decode()


def test_a_description_is_shown_and_runs_nothing(digits: Endpoint, admin: Client) -> None:
    text = "**bold** <script>alert(1)</script>"
    Model.objects.update(description=text)
    ModelVersion.objects.update(description=text, provenance={"git_commit": "9f2c", "z": "1"})
    for url in (model_url(), version_url(2)):
        page = admin.get(url).content.decode()
        assert "<strong>bold</strong> &lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page
    page = admin.get(version_url(2)).content.decode()
    assert page.index("git_commit") < page.index(">z<")


def test_empty_states_say_what_to_do(admin: Client) -> None:
    Model.objects.create(name="digits")
    page = admin.get(model_url()).content.decode()
    assert "nereid push digits model.onnx" in page
    assert "No aliases yet" in page
    assert "Nobody has said yet" in page


def test_versions_are_found_by_model_and_by_file(digits: Endpoint, admin: Client) -> None:
    listed = reverse("admin:registry_modelversion_changelist")
    sha256 = ModelVersion.objects.get(number=2).artifact_id
    other = Model.objects.create(name="faces")
    ready_version(other, 1, sample=1)

    def found(**query: str) -> set[str]:
        return {str(version) for version in admin.get(listed, query).context["cl"].result_list}

    assert found(q="DIGI") == {"digits v1", "digits v2"}
    assert found(q=sha256[:8]) == {"digits v2"}
    assert found(q=f"digits {sha256}") == {"digits v2"}
    assert found(q="faced0") == set()
    assert found(framework__exact="onnx", q="faces") == {"faces v1"}
    assert found(profile__exact="throughput") == set()
