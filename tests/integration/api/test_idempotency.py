"""`Idempotency-Key`: asked again, answered again, done once."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.urls import NoReverseMatch, URLPattern, reverse

from control_plane import wiring
from control_plane.api import models_resource, urls
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Revision
from control_plane.idempotency.models import KeptAnswer
from control_plane.idempotency.services import Answer, Ask, forget_old_answers, keep, take
from control_plane.registry.models import Model, ModelVersion
from tests.integration.api.conftest import SAMPLES, Api, token_of
from tests.integration.api.test_registry_api import problem
from tests.support.fakes import FakeClock

KEY = "0b8fc6a4-8a2f-4f7e-a6a8-4e2b6b8f2f10"
SAMPLE = SAMPLES / "v1" / "model.onnx"

# What a path's placeholders may be filled with; one that takes none of these needs a line here.
FILLINGS = ("digits", "1", "champion", "00000000-0000-4000-8000-000000000000")


def post(api: Api, path: str, body: Any = None, key: str = KEY) -> Any:
    # Uploads speak tus, and nobody else minds.
    headers = {"Idempotency-Key": key, "Tus-Resumable": "1.0.0"}
    return api.call("post", path, {} if body is None else body, **headers)


def posts() -> Iterator[tuple[str, str]]:
    """(name, path) of everything that takes a POST, as the URL configuration has it."""
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        view = pattern.callback.view_class  # type: ignore[attr-defined]
        if not hasattr(view, "post"):
            continue
        groups = re.findall(r"\(\?P<(\w+)>", str(pattern.pattern))
        yield str(pattern.name), filled(str(pattern.name), groups, {})


def filled(name: str, groups: list[str], chosen: dict[str, str]) -> str:
    if not groups:
        return str(reverse(f"api:{name}", kwargs=chosen)).removeprefix("/api/v1/")
    for filling in FILLINGS:
        try:
            return filled(name, groups[1:], {**chosen, groups[0]: filling})
        except NoReverseMatch:
            continue
    raise NoReverseMatch(name)


POSTS = dict(posts())


def test_the_url_configuration_was_walked() -> None:
    assert {"models", "versions", "endpoints", "plan", "rollback", "kill"} <= POSTS.keys()


@pytest.mark.parametrize("name", POSTS)
@pytest.mark.parametrize("key", ["", "with a space", "ü", "k" * 256])
def test_every_post_there_is_reads_the_key(digits: Api, name: str, key: str) -> None:
    response = post(digits, POSTS[name], {"name": "new"}, key)
    assert problem(response, 400) == {"": "idempotency_key"}


def test_the_same_again_is_answered_again_and_done_once(api: Api) -> None:
    first = post(api, "models/", {"name": "m", "tags": {"a": "1", "b": "2"}})
    again = post(api, "models", {"tags": {"b": "2", "a": "1"}, "name": "m"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert AuditEvent.objects.filter(action="model.create").count() == 1


def test_a_rollback_sent_twice_goes_back_once(digits: Api, weights: Any) -> None:
    for number, percents in enumerate([(100,), (90, 10)], start=1):
        digits.put_policy("digits", weights(*percents))
        Revision.objects.filter(number=number).update(served_from=datetime.now(UTC))
    first = post(digits, "endpoints/digits/rollback/")
    again = post(digits, "endpoints/digits/rollback/")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["generation"] == first.json()["generation"] == 3
    assert (again["ETag"], again["Location"]) == (first["ETag"], first["Location"])


@pytest.mark.parametrize(
    ("path", "body"), [("models/", {"name": "other"}), ("endpoints/", {"name": "m"})]
)
def test_another_request_with_the_key_is_refused(api: Api, path: str, body: Any) -> None:
    post(api, "models/", {"name": "m"})
    problem(post(api, path, body), 422)
    assert list(Model.objects.values_list("name", flat=True)) == ["m"]


def test_keys_of_two_callers_have_nothing_to_do_with_each_other(api: Api) -> None:
    bob = Api(token_of("bob", is_superuser=True))
    assert post(api, "models/", {"name": "a"}).status_code == 201
    response = post(bob, "models/", {"name": "b"})
    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response


def test_whoever_lost_the_right_gets_no_old_answer(api: Api) -> None:
    from django.contrib.auth import get_user_model

    post(api, "models/", {"name": "m"})
    get_user_model().objects.filter(username="ada").update(is_superuser=False)
    problem(post(api, "models/", {"name": "m"}), 403)


def test_a_refusal_leaves_the_key_free(api: Api) -> None:
    problem(post(api, "endpoints/digits/rollback/"), 404)
    problem(post(api, "models/", {"name": "NO"}), 400)
    assert post(api, "models/", {"name": "m"}).status_code == 201


def test_a_failure_of_ours_is_not_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: Any) -> Model:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(models_resource, "create_model", fails)
        problem(post(api, "models/", {"name": "m"}), 500)
    assert post(api, "models/", {"name": "m"}).status_code == 201


def upload(api: Api, path: Path, metadata: Any, key: str = KEY) -> Any:
    with path.open("rb") as file:
        return api._client.post(
            "/api/v1/models/m/versions/",
            data={"artifact": file, "metadata": json.dumps(metadata)},
            headers={**api._headers, "Idempotency-Key": key},
        )


def test_an_upload_sent_twice_makes_one_version(api: Api) -> None:
    api.post("models/", {"name": "m"})
    first, again = (upload(api, SAMPLE, {"metrics": {"a": 1}}) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert ModelVersion.objects.count() == 1


def test_an_upload_is_known_by_what_was_in_it(api: Api, tmp_path: Path) -> None:
    api.post("models/", {"name": "m"})
    upload(api, SAMPLE, {})
    problem(upload(api, SAMPLE, {"metrics": {"a": 1}}), 422)
    other = tmp_path / SAMPLE.name  # the same name and size, and nobody declared a digest
    other.write_bytes(SAMPLE.read_bytes()[:-1] + b"?")
    problem(upload(api, other, {}), 422)
    assert ModelVersion.objects.count() == 1


def test_after_a_day_the_key_is_free_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    post(api, "models/", {"name": "m"})
    clock.pass_time(hours=23, minutes=59)
    assert post(api, "models/", {"name": "m"})["Idempotent-Replayed"] == "true"
    clock.pass_time(minutes=1)
    problem(post(api, "models/", {"name": "m"}), 409)  # carried out: there is one of that name
    assert post(api, "models/", {"name": "n"}).status_code == 201


def test_what_is_a_day_old_is_cleaned_up(db: None) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for age in (timedelta(hours=25), timedelta(hours=24), timedelta(hours=23)):
        ask = Ask("1", str(age), "f")
        keep(ask, Answer(201, "{}"), now - age)
    assert forget_old_answers(now) == 2
    assert KeptAnswer.objects.count() == 1


def test_neither_key_nor_answer_can_be_read_in_the_table(db: None) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    ask = Ask("1", "the-key", "f")
    keep(ask, Answer(201, '{"token": "nrd_secret"}', {"Location": "/x"}), now)
    (row,) = KeptAnswer.objects.values_list("key_digest", "fingerprint", "answer")
    assert not re.search("nrd_secret|the-key|/x", repr(row))
    assert take(ask, now) == Answer(201, '{"token": "nrd_secret"}', {"Location": "/x"})


def test_at_work_is_a_conflict_and_a_crash_blocks_nobody(
    transactional_db: None, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote, may_end = threading.Event(), threading.Event()
    process: list[int] = []
    create = models_resource.create_model

    def create_and_stay(**values: Any) -> Model:
        model = create(**values)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            process.extend(cursor.fetchone())
        wrote.set()
        assert may_end.wait(60)
        return model

    def first() -> None:
        try:
            post(api, "models/", {"name": "m"})
        finally:
            connection.close()

    monkeypatch.setattr(models_resource, "create_model", create_and_stay)
    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert wrote.wait(60)
        busy = post(api, "models/", {"name": "m"})
        problem(busy, 409)
        assert busy["Retry-After"] == "1"
        # The crash, as the database sees one: the connection is gone between write and answer.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", process)
    finally:
        may_end.set()
        thread.join()
    monkeypatch.setattr(models_resource, "create_model", create)
    assert not Model.objects.exists()
    again = post(api, "models/", {"name": "m"})
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again
