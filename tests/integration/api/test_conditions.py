"""An edit that is based on what is no longer so is refused; what is known is not sent again."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Model, ModelVersion
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

EDITED = ("models/digits", "models/digits/versions/1", "endpoints/digits")


def patch(api: Api, path: str, text: str, **headers: str) -> Any:
    return api.call("patch", path, {"description": text}, **headers)


def described(path: str) -> str:
    if path.startswith("endpoints"):
        return Endpoint.objects.get(name="digits").description
    if path.endswith("1"):
        return ModelVersion.objects.get(number=1).description
    return Model.objects.get(name="digits").description


@pytest.mark.parametrize("path", EDITED)
def test_the_tag_that_was_read_lets_one_edit_through(digits: Api, path: str) -> None:
    tag = digits.get(path)["ETag"]
    edited = patch(digits, path, "by ada", **{"If-Match": tag})
    assert edited.status_code == 200
    assert edited["ETag"] == digits.get(path)["ETag"] != tag
    problem(patch(digits, path, "by bob", **{"If-Match": tag}), 412)
    assert described(path) == "by ada"
    assert (
        patch(digits, path, "both", **{"If-Match": f"{tag}, {edited['ETag']}"}).status_code == 200
    )


@pytest.mark.parametrize("path", EDITED)
def test_without_a_condition_there_is_none(digits: Api, path: str) -> None:
    assert patch(digits, path, "a").status_code == 200
    assert patch(digits, path, "b", **{"If-Match": "*"}).status_code == 200
    assert problem(patch(digits, path, "c", **{"If-Match": "nonsense"}), 400) == {"": "if_match"}
    assert described(path) == "b"


@pytest.mark.parametrize("path", EDITED)
def test_a_deletion_is_an_edit_too(digits: Api, path: str) -> None:
    tag = digits.get(path)["ETag"]
    patch(digits, path, "changed")
    problem(digits.call("delete", path, **{"If-Match": tag}), 412)
    now = digits.get(path)["ETag"]
    answer = digits.call("delete", path, **{"If-Match": now})
    assert answer.status_code in {202, 204, 409}
    problem(digits.call("delete", "models/cats", **{"If-Match": tag}), 404)


def test_a_tag_tells_two_things_of_one_name_apart(api: Api) -> None:
    api.post("models/", {"name": "m"})
    tag = api.get("models/m")["ETag"]
    api.call("delete", "models/m")
    api.post("models/", {"name": "m"})
    problem(patch(api, "models/m", "x", **{"If-Match": tag}), 412)


def test_a_policy_moves_an_endpoints_tag(digits: Api, weights: Any) -> None:
    tag = digits.get("endpoints/digits")["ETag"]
    digits.put_policy("digits", weights(100))
    problem(digits.call("delete", "endpoints/digits", **{"If-Match": tag}), 412)


@pytest.mark.parametrize("path", ["endpoints/digits/policy", "models/digits/versions/1/download"])
def test_what_is_known_is_not_sent_again(digits: Api, path: str) -> None:
    whole = digits.get(path)
    known = digits.call("get", path, **{"If-None-Match": whole["ETag"]})
    assert (known.status_code, known["ETag"]) == (304, whole["ETag"])
    assert not known.content
    other = digits.call("get", path, **{"If-None-Match": '"another"'})
    assert other.status_code == 200
    for answer in (whole, other):
        answer.close()
