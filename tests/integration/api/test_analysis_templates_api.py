"""Analysis templates over the API: the one that comes with Nereid, and one's own."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.analysis.models import AnalysisTemplateRevision
from control_plane.audit.models import AuditEvent
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

ERRORS = {"metrics": [{"name": "errors", "kind": "error_rate", "margin": 0.01}]}
STRICT = {"metrics": [{"name": "errors", "kind": "error_rate", "margin": 0.002}], "alpha": 0.01}


def put(api: Api, document: Any, name: str = "mine", **headers: str) -> Any:
    return api.call("put", f"analysis-templates/{name}/", document, **headers)


def test_the_default_is_there_and_can_be_replaced(api: Api) -> None:
    first, second = api.get("analysis-templates/").json()["results"]
    assert second["name"] == "shadow"
    assert (first["name"], first["built_in"], first["revision"]) == ("default", True, None)
    problem(api.call("delete", "analysis-templates/default/"), 409)
    tag = api.get("analysis-templates/default")["ETag"]
    problem(put(api, STRICT, "default", **{"If-Match": '"another"'}), 412)
    assert put(api, STRICT, "default", **{"If-Match": tag}).status_code == 201
    assert api.get("analysis-templates/default").json()["document"]["alpha"] == 0.01
    assert api.call("delete", "analysis-templates/default/").status_code == 204
    assert api.get("analysis-templates/default").json() == first


def test_a_template_is_added_changed_and_deleted(api: Api) -> None:
    made = put(api, ERRORS)
    assert (made.status_code, made.json()["revision"]) == (201, 1)
    assert made["Location"].endswith("/api/v1/analysis-templates/mine")
    problem(put(api, STRICT), 428)
    changed = put(api, STRICT, **{"If-Match": made["ETag"]})
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    problem(put(api, ERRORS, **{"If-Match": made["ETag"]}), 412)
    # What is read has every value in force, and is the same template again.
    same = put(api, changed.json()["document"], **{"If-Match": changed["ETag"]})
    assert (same.status_code, same["ETag"]) == (200, changed["ETag"])
    assert AnalysisTemplateRevision.objects.count() == 2
    assert [row["name"] for row in api.get("analysis-templates/?search=mi").json()["results"]] == [
        "mine"
    ]
    gone = api.call("delete", "analysis-templates/mine/", **{"If-Match": changed["ETag"]})
    assert gone.status_code == 204
    problem(api.get("analysis-templates/mine"), 404)
    said = AuditEvent.objects.filter(object_name="mine").order_by("id")
    assert [event.action for event in said] == [
        "analysis_template.create",
        "analysis_template.update",
        "analysis_template.delete",
    ]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ""),
        ({}, "/metrics"),
        ({"metrics": [{"name": "x", "kind": "hunch"}]}, "/metrics/0/kind"),
        ({**ERRORS, "alpha": 2}, "/alpha"),
        ({**ERRORS, "speed": 9}, "/speed"),
    ],
)
def test_what_is_no_template_is_refused_at_its_place(api: Api, document: Any, where: str) -> None:
    assert where in problem(put(api, document), 400)


def test_a_name_that_cannot_be(api: Api) -> None:
    problem(put(api, ERRORS, "Not%20a%20name"), 400)
