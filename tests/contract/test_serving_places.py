"""Where versions serve: the fake, and the real answer from the endpoints' revisions."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from control_plane.domain.registry.states import Place
from control_plane.endpoints.models import Endpoint, Placement, Revision, RevisionVersion
from control_plane.endpoints.serving import RevisionPlaces
from control_plane.fleet.models import Server
from control_plane.ports.serving import ServingPlaces
from control_plane.registry.models import Artifact, Model, ModelVersion
from tests.support.fakes import FakePlaces

pytestmark = pytest.mark.django_db

SERVES = Place("e", 2, "stable", 90.0, live=True)


def version(number: int = 1) -> ModelVersion:
    model, _ = Model.objects.get_or_create(name="digits")
    artifact, _ = Artifact.objects.get_or_create(sha256="0" * 64, defaults={"size": 1})
    return ModelVersion.objects.create(model=model, number=number, artifact=artifact)


def revision(
    endpoint: Endpoint, number: int, *arms: tuple[ModelVersion, float], served: bool = False
) -> Revision:
    named = [
        {"name": f"{v.model.name}-v{v.number}", "model": "digits", "version": v.number, "weight": w}
        for v, w in arms
    ]
    made = Revision.objects.create(
        endpoint=endpoint,
        number=number,
        generation=number,
        policy={"arms": named},
        error="not compiled in this test",
        served_from=timezone.now() if served else None,
    )
    for arm, _ in arms:
        RevisionVersion.objects.create(revision=made, version=arm, physical="x")
    return made


def endpoint(name: str = "e", generation: int = 0) -> Endpoint:
    policy = {"arms": []} if generation else None
    return Endpoint.objects.create(name=name, generation=generation, policy=policy)


def fake() -> tuple[ServingPlaces, UUID]:
    places, serving = FakePlaces(), uuid4()
    places.places[serving] = [SERVES]
    places.ways_back[serving] = {"e": [1]}
    return places, serving


def real() -> tuple[ServingPlaces, UUID]:
    there = endpoint(generation=2)
    serving = version()
    revision(there, 1, (serving, 100), served=True)
    last = revision(there, 2, (serving, 90), served=True)
    last.policy["arms"][0]["name"] = "stable"
    last.save()
    return RevisionPlaces(), serving.id


@pytest.mark.parametrize("made", [fake, real], ids=["fake", "real"])
def test_it_says_where_a_version_serves(
    made: Callable[[], tuple[ServingPlaces, UUID]],
) -> None:
    places, serving = made()
    nowhere = uuid4()
    assert places.of([serving, nowhere]) == {serving: [SERVES]}
    assert places.of([]) == {}
    assert places.earlier(serving) == {"e": [1]}
    assert places.earlier(nowhere) == {}


def test_what_is_on_its_way_and_what_is_left_behind() -> None:
    old, new, never = version(1), version(2), version(3)
    there = endpoint(generation=3)
    revision(there, 1, (never, 100))
    revision(there, 2, (old, 100), served=True)
    revision(there, 3, (old, 40), (new, 60))
    places = RevisionPlaces()
    assert places.of([old.id, new.id, never.id]) == {
        old.id: [Place("e", 2, "digits-v1", 100.0, live=True)],
        new.id: [Place("e", 3, "digits-v2", 60.0, live=False)],
    }
    assert places.earlier(never.id) == {"e": [1]}
    assert places.earlier(old.id) == {}


def test_a_server_that_is_behind_still_serves_the_old_one() -> None:
    old, new = version(1), version(2)
    there = endpoint(generation=2)
    revision(there, 1, (old, 100), served=True)
    revision(there, 2, (new, 100), served=True)
    server = Server.objects.create(name="slow")
    Placement.objects.create(server=server, endpoint=there, switched=1)
    assert [place.revision for place in RevisionPlaces().of([old.id])[old.id]] == [1]


def test_an_endpoint_that_is_being_deleted_serves_until_it_is_gone() -> None:
    serving = version()
    there = endpoint(generation=1)
    revision(there, 1, (serving, 100), served=True)
    Endpoint.objects.update(deleted_at=timezone.now(), generation=2)
    assert RevisionPlaces().of([serving.id])[serving.id][0].live


def test_one_question_for_any_number_of_versions() -> None:
    versions = [version(number) for number in range(1, 51)]
    for i, one in enumerate(versions):
        revision(endpoint(f"e{i}", 1), 1, (one, 100), served=True)
    with CaptureQueriesContext(connection) as caught:
        assert len(RevisionPlaces().of([one.id for one in versions])) == 50
    assert len(caught) == 1
