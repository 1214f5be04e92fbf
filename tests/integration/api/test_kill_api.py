"""`POST /endpoints/{name}/kill/`: everything to the primary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters import profiles
from control_plane.api.policy_schema import EXAMPLES
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint, Revision
from tests.integration.api.conftest import Api
from tests.integration.api.test_endpoints_api import Weights, served
from tests.integration.api.test_policy_api import router_text
from tests.integration.api.test_registry_api import problem
from tests.support.fakes import FakeQueue

KILL = "endpoints/digits/kill/"


def test_everything_goes_to_the_primary_and_the_rest_stays_for_the_way_back(digits: Api) -> None:
    digits.put_policy("digits", EXAMPLES["everything"])
    served()
    before = digits.get("endpoints/digits/policy").json()
    response = digits.post(KILL, {"reason": "v2 is slow"})
    assert response.status_code == 202, response.content
    body = response.json()
    assert (body["generation"], response["ETag"]) == (2, '"2"')
    assert response["Location"] == body["status_url"]
    killed = body["policy"]
    assert [(arm["name"], arm["weight"]) for arm in killed["arms"]] == [
        ("stable", 100),
        ("candidate", 0),
    ]
    assert (killed["rules"], killed["shadow"]) == ([], [])
    for kept in ("sticky", "breaker", "rescue", "slow_start"):
        assert killed[kept] == before[kept]
    assert (before["sequences"]["on_change"], killed["sequences"]["on_change"]) == ("finish", "cut")
    assert killed["sequences"]["idle"] == before["sequences"]["idle"]
    assert "sequences cut idle_us 60000000" in router_text().splitlines()
    assert killed["arms"][1]["max_in_flight"] == before["arms"][1]["max_in_flight"]
    event = AuditEvent.objects.get(action="endpoint.kill")
    assert (event.reason, event.actor) == ("v2 is slow", "ada")
    assert (event.before, event.after) == (before, killed)
    served()
    back = digits.post("endpoints/digits/rollback/")
    assert back.json()["policy"] == before
    assert "sequences finish idle_us 60000000" in router_text().splitlines()


def test_adaptive_ends_and_the_primary_overflows_to_nobody(digits: Api) -> None:
    policy: dict[str, Any] = {
        **EXAMPLES["adaptive"],
        "arms": [{**arm} for arm in EXAMPLES["adaptive"]["arms"]],  # type: ignore[attr-defined]
    }
    policy["arms"][0] |= {"max_in_flight": 4, "overflow": "large"}
    assert digits.put_policy("digits", policy).status_code == 202
    killed = digits.post(KILL).json()["policy"]
    assert (killed["mode"], killed["objective"]) == ("weighted", None)
    assert "overflow" not in killed["arms"][0]
    assert killed["arms"][0]["max_in_flight"] == 4


def test_without_a_policy_there_is_nothing_to_kill(digits: Api) -> None:
    problem(digits.post(KILL), 409)
    problem(digits.post("endpoints/nothing/kill/"), 404)


def test_killing_twice_is_killing_once(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(90, 10))
    first, second = digits.post(KILL), digits.post(KILL, {"reason": "again"})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert Revision.objects.count() == 2
    assert AuditEvent.objects.filter(action="endpoint.kill").count() == 1


def test_a_change_under_way_that_says_the_same_is_made_urgent(
    digits: Api, weights: Weights
) -> None:
    same = weights(100, 0) | {"sequences": {"on_change": "cut"}}
    digits.put_policy("digits", same)
    assert digits.post(KILL).json()["generation"] == 2
    assert Revision.objects.get(generation=2).compiled.urgent  # type: ignore[union-attr]
    Endpoint.objects.update(observed_generation=2)
    digits.put_policy("digits", same)
    Endpoint.objects.update(observed_generation=3)
    # This time it serves already: nothing is left to do.
    assert digits.post(KILL).json()["generation"] == 3


def test_where_everything_goes_to_the_primary_live_sequences_elsewhere_are_still_cut(
    digits: Api, weights: Weights
) -> None:
    digits.put_policy("digits", weights(100, 0))
    Endpoint.objects.update(observed_generation=1)
    assert digits.post(KILL).json()["policy"]["sequences"]["on_change"] == "cut"


def lose_profiles(monkeypatch: pytest.MonkeyPatch, root: Path, text: str | None) -> None:
    """From here on there is no profile, or there is one of this text."""
    monkeypatch.setattr(profiles, "PROFILES", root)
    if text is not None:
        (root / "realtime.toml").write_text(text)
    monkeypatch.setattr(profiles, "load_profile", profiles.load_profile.__wrapped__)
    monkeypatch.setattr(profiles, "profile_names", profiles.profile_names.__wrapped__)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no serving profile 'realtime' any more"),
        ("max_batch_size = [", "its serving profile cannot be read"),
        ("max_batch_size = [1]", "its serving profile cannot be read"),
        ("instance_group = 1", "its serving profile cannot be read"),
    ],
)
def test_a_profile_that_is_gone_or_broken_is_not_in_the_way(
    digits: Api,
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str | None,
    says: str,
) -> None:
    digits.put_policy("digits", weights(90, 10))
    served()
    before = Revision.objects.get(generation=1).compiled
    lose_profiles(monkeypatch, tmp_path, text)
    assert digits.post(KILL).status_code == 202
    killed = Revision.objects.get(generation=2).compiled
    assert before
    assert killed
    assert killed.models == before.models
    # What has to be compiled anew is refused, in words.
    refused = digits.put_policy("digits", weights(90, 10))
    assert set(problem(refused, 400)) == {"/arms/0/version", "/arms/1/version"}
    assert says in refused.json()["errors"][0]["detail"]


def test_only_who_may_change_an_endpoint_may_kill_it(
    digits: Api, reader: Api, weights: Weights
) -> None:
    digits.put_policy("digits", weights(90, 10))
    problem(reader.post(KILL), 403)
    problem(digits.post(KILL, {"why": "?"}), 400)
    assert Endpoint.objects.get().generation == 1


@pytest.mark.django_db(transaction=True)
def test_the_worker_is_told_each_time(digits: Api, weights: Weights, queue: FakeQueue) -> None:
    digits.put_policy("digits", weights(90, 10))
    digits.post(KILL)
    digits.post(KILL)
    assert len(queue.reconciles) == 3
