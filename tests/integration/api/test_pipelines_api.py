"""Pipelines over the API: revisions, what is refused and where, and what holds on to what."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from control_plane.audit.models import AuditEvent
from control_plane.domain.signature import Signature, Tensor
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.registry.models import (
    Artifact,
    Model,
    ModelVersion,
    Pipeline,
    PipelineRevision,
    VersionState,
)
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem as check_problem
from tests.support.triton import eventually

FACTORS = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 4)),))


@pytest.fixture
def times(db: None) -> Callable[[int], ModelVersion]:
    """Ready versions of a model that hands `x` on as `y`."""
    model = Model.objects.create(name="times", created_by="ada")

    def add(number: int) -> ModelVersion:
        artifact, _ = Artifact.objects.get_or_create(sha256=f"{number:064x}", defaults={"size": 1})
        return ModelVersion.objects.create(
            model=model,
            number=number,
            framework="onnx",
            artifact=artifact,
            filename="model.onnx",
            profile="realtime",
            state=VersionState.READY,
            signature=FACTORS.to_document(),
            created_by="ada",
        )

    for number in (1, 2, 3):
        add(number)
    return add


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem document of a refusal."""
    check_problem(response, status)
    document: dict[str, Any] = response.json()
    return document


def line(*numbers: int, **more: Any) -> dict[str, Any]:
    """A document whose steps run these versions one after the other."""
    last = len(numbers) - 1
    steps = [
        {
            "name": f"s{i}",
            "model": "times",
            "version": number,
            "inputs": {"x": f"t{i}"},
            "outputs": {"y": "y" if i == last else f"t{i + 1}"},
        }
        for i, number in enumerate(numbers)
    ]
    return {"steps": steps, **more}


def put(api: Api, document: Any, name: str = "line", **headers: str) -> Any:
    return api.call("put", f"pipelines/{name}/", document, **headers)


def again(api: Api, document: Any, name: str = "line") -> Any:
    return put(api, document, name, **{"If-Match": "*"})


def test_a_pipeline_is_added_changed_and_deleted(api: Api, times: object) -> None:
    made = put(api, line(1, 2))
    assert (made.status_code, made.json()["revision"]) == (201, 1), made.json()
    assert made["Location"].endswith("/api/v1/pipelines/line")
    assert made.json()["inputs"] == [{"name": "t0", "datatype": "FP32", "shape": [-1, 4]}]
    assert [t["name"] for t in made.json()["tensors"]] == ["t0", "t1", "y"]
    assert put(api, made.json()["document"], **{"If-Match": made["ETag"]}).json()["revision"] == 1
    changed = put(api, line(1, 3), **{"If-Match": made["ETag"]})
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    problem(put(api, line(1), **{"If-Match": made["ETag"]}), 412)
    problem(put(api, line(1)), 428)
    listed = api.get("pipelines/line/revisions").json()["results"]
    assert [row["revision"] for row in listed] == [2, 1]
    assert api.get("pipelines/line/revisions/1").json()["document"] == made.json()["document"]
    assert [row["name"] for row in api.get("pipelines?search=lin").json()["results"]] == ["line"]
    assert api.call("delete", "pipelines/line").status_code == 204
    problem(api.get("pipelines/line"), 404)
    said = AuditEvent.objects.filter(object_type="pipeline").order_by("id")
    assert [e.action for e in said] == ["pipeline.create", "pipeline.update", "pipeline.delete"]


def test_what_does_not_fit_is_told_with_pointers_and_writes_nothing(
    api: Api, times: object
) -> None:
    bad = line(1, 2, outputs=["nothing"])
    bad["steps"][1]["inputs"] = {"z": "t1"}
    told = problem(put(api, bad), 400)["errors"]
    assert {(e["pointer"], e["code"]) for e in told} >= {
        ("/steps/1/inputs/z", "unknown_tensor"),
        ("/outputs/0", "unknown_tensor"),
    }
    told = problem(put(api, line(1, 9)), 400)["errors"]
    assert told[0]["pointer"] == "/steps/1/version"
    problem(put(api, {"steps": [{"endpoint": "digits"}]}), 400)
    problem(put(api, ["steps"]), 400)
    assert not Pipeline.objects.exists()


def test_the_dry_run_says_what_it_would_be(api: Api, times: object) -> None:
    put(api, line(1, 2))
    said = api.post("pipelines/line/check", line(1, 3))
    assert said.status_code == 200
    assert '-      "version": 2' in said.json()["diff"]
    assert '+      "version": 3' in said.json()["diff"]
    assert api.post("pipelines/another/check", line(1)).json()["max_batch_size"] == 64
    assert PipelineRevision.objects.count() == 1


def test_an_alias_is_the_version_that_it_stood_for(api: Api, times: object) -> None:
    assert api.call("put", "models/times/aliases/best", {"version": 3}).status_code == 201
    document = line(1, 3)
    document["steps"][1]["version"] = "@best"
    assert put(api, document).json()["document"]["steps"][1]["version"] == 3
    document["steps"][1]["version"] = "@none"
    assert problem(again(api, document), 400)["errors"][0]["pointer"] == "/steps/1/version"


def test_models_and_pipelines_share_their_names(api: Api, times: object) -> None:
    assert "a model named 'times'" in problem(put(api, line(1), "times"), 409)["detail"]
    put(api, line(1))
    told = problem(api.post("models", {"name": "line"}), 409)["detail"]
    assert told == "there is a pipeline named 'line' already"
    with pytest.raises(IntegrityError), transaction.atomic():
        Model.objects.create(name="line", created_by="ada")


def test_a_revision_is_never_changed(api: Api, times: object) -> None:
    put(api, line(1))
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        PipelineRevision.objects.update(document={})


def test_a_version_in_a_pipeline_is_not_deleted(api: Api, times: object) -> None:
    put(api, line(1, 2))
    told = problem(api.call("delete", "models/times/versions/2"), 409)["detail"]
    assert "times:2 is used by pipeline line revision 1" in told
    shown = api.get("models/times/versions/2").json()["pipelines"]
    assert shown == [{"pipeline": "line", "revision": 1, "step": "s1", "newest": True}]
    put(api, {"steps": [{"pipeline": "line", "revision": 1}]}, "outer")
    told = problem(api.call("delete", "pipelines/line"), 409)["detail"]
    assert told == "pipeline 'line' is used by pipeline outer revision 1"
    outer = api.get("pipelines/outer").json()
    assert [step["name"] for step in outer["steps"]] == ["line/s0", "line/s1"]
    [own] = outer["own_steps"]
    assert (own["pipeline"], own["model"], own["version"]) == (True, "line", 1)
    # Whatever its document leaves out.
    assert own["inputs"] == {"t0": "t0"}


def arms(*revisions: int) -> dict[str, Any]:
    weights = {1: [100], 2: [90, 10]}[len(revisions)]
    return {
        "arms": [
            {"pipeline": "line", "revision": r, "weight": w, "primary": not i}
            for i, (r, w) in enumerate(zip(revisions, weights, strict=True))
        ]
    }


def served(api: Api) -> None:
    Revision.objects.filter(served_from=None).update(
        served_from=timezone.now(), switched_from=timezone.now()
    )


def test_an_arm_may_be_a_pipeline(api: Api, queue: object, times: object) -> None:
    put(api, line(1, 2))
    again(api, line(1, 3))
    assert api.post("endpoints", {"name": "line"}).status_code == 201
    planned = api.post("endpoints/line/plan", arms(1, 2)).json()
    assert [name.split(".")[:2] for name in planned["loads"]] == [
        *(["line", "v1"], ["line", "v2"]),
        *(["times", "v1"], ["times", "v2"], ["times", "v3"]),
    ]
    assert api.put_policy("line", arms(1, 2)).status_code == 202
    served(api)
    arm = api.get("endpoints/line").json()["arms"][1]
    assert (arm["name"], arm["pipeline"], arm["revision"]) == ("line-v2", "line", 2)
    assert arm["physical"].startswith("line.v2.")
    shown = api.get("endpoints/line/revisions/1").json()["arms"][0]
    assert (shown["model"], shown["pipeline"], shown["revision"]) == (None, "line", 1)
    place = api.get("models/times/versions/1").json()["serves_in"]
    assert [(p["endpoint"], p["pipeline"], p["share"]) for p in place] == [
        ("line", "line:1, line:2", 100)
    ]
    assert api.get("pipelines/line/revisions/2").json()["serves_in"][0]["share"] == 10


def test_what_serves_in_a_pipeline_is_held(api: Api, queue: object, times: object) -> None:
    put(api, line(1, 2))
    api.post("endpoints", {"name": "line", "policy": arms(1)})
    served(api)
    for verb, path in (("delete", ""), ("post", "/archive")):
        told = problem(api.call(verb, f"models/times/versions/2{path}", {}), 409)["detail"]
        assert "endpoint line (revision 1, arm line-v1, in pipeline line:1, 100 %)" in told
    told = problem(api.call("delete", "pipelines/line"), 409)["detail"]
    assert told == "pipeline 'line' is used by line revision 1"
    with pytest.raises(DatabaseError, match="a version that serves"), transaction.atomic():
        ModelVersion.objects.filter(number=2).update(state="archived", state_reason="x")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("use", ["arm", "step"])
def test_a_pipeline_that_begins_to_be_used_is_not_deleted_meanwhile(
    api: Api, queue: object, times: object, use: str
) -> None:
    put(api, line(1, 2))
    api.post("endpoints", {"name": "line"})
    step = {"steps": [{"pipeline": "line", "revision": 1}]}
    uses = {"arm": lambda: api.put_policy("line", arms(1)), "step": lambda: put(api, step, "outer")}
    told = problem(Deleting(api, uses[use]).answer, 409)["detail"]
    assert told.startswith("pipeline 'line' is used by ")


class Deleting:
    """The answer to a deletion that comes while another transaction is under way."""

    def __init__(self, api: Api, write: Callable[[], Any]) -> None:
        self.answer: Any = None
        thread = threading.Thread(target=self._delete, args=(api,))
        with transaction.atomic():
            assert write().status_code < 300
            thread.start()
            eventually(lambda: self.answer is not None or _waiting(), what="the deletion to wait")
        thread.join()

    def _delete(self, api: Api) -> None:
        try:
            self.answer = api.call("delete", "pipelines/line", **{"If-Match": "*"})
        finally:
            connection.close()


def _waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_arms_agree_whatever_they_are(api: Api, queue: object, times: object) -> None:
    put(api, line(1, 2))
    api.post("endpoints", {"name": "line"})
    mixed = {
        "arms": [
            {"model": "times", "version": 3, "weight": 50, "primary": True},
            {"pipeline": "line", "revision": 1, "weight": 50},
        ]
    }
    told = problem(api.post("endpoints/line/plan", mixed), 400)["errors"]
    assert told[0]["pointer"] == "/arms/1"
    assert "pipeline line revision 1 differs from times version 3" in told[0]["detail"]
    same = line(1, 2)
    same["steps"][0]["inputs"] = {"x": "x"}
    again(api, same)
    mixed["arms"][1]["revision"] = 2
    assert api.post("endpoints/line/plan", mixed).status_code == 200
    for arm, pointer in (
        ({"pipeline": "line", "revision": 7, "weight": 100}, "/arms/0/revision"),
        ({"pipeline": "none", "revision": 1, "weight": 100}, "/arms/0/revision"),
        ({"pipeline": "line", "version": 1, "weight": 100}, "/arms/0/version"),
        ({"pipeline": "line", "model": "times", "revision": 1, "weight": 100}, "/arms/0/pipeline"),
    ):
        told = problem(api.post("endpoints/line/plan", {"arms": [arm]}), 400)["errors"]
        assert told[0]["pointer"] == pointer, told


def test_a_killed_pipeline_goes_on_with_what_is_loaded(
    api: Api, queue: object, times: object
) -> None:
    put(api, line(1, 2))
    again(api, line(1, 3))
    api.post("endpoints", {"name": "line", "policy": arms(1, 2)})
    before = Revision.objects.get().compiled
    assert api.post("endpoints/line/kill").status_code == 202
    plan = Endpoint.objects.get().revisions.first().compiled  # type: ignore[union-attr]
    assert before is not None
    assert plan is not None
    assert plan.urgent
    assert plan.models == before.models
    members = {step.physical for step in plan.pipelines[plan.arms[0].physical]}
    assert plan.required == {plan.arms[0].physical} | members
