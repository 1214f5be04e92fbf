"""Who asks too often gets a 429 and when to come back; nobody else does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory
from django.urls import reverse

from control_plane.access import throttle as throttling
from control_plane.access.models import ApiToken
from control_plane.access.throttle import Throttle, address_of
from control_plane.settings.throttles import DEFAULTS, store, throttles, trusted_proxies
from stack.broker import EmbeddedBroker

TIGHT = {"callers": "3/minute", "anonymous": "2/minute", "guesses": "2/minute"}
TIGHT |= {"logins": "2/minute"}
ELSEWHERE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "control_plane.settings"
os.environ["NEREID_THROTTLE_CALLERS"] = "3/minute"
import django; django.setup()
from control_plane.access.throttle import throttle
print(throttle().count("callers", "ada"))
"""


@pytest.fixture
def tight(settings: Any, broker: str) -> Iterator[None]:
    """Limits that are soon met, counted in a Valkey as in production."""
    settings.NEREID_THROTTLES = TIGHT
    settings.NEREID_THROTTLE_STORE = broker
    throttling.throttle.cache_clear()
    throttling.throttle()._limiter.storage.reset()
    yield
    throttling.throttle.cache_clear()


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", password="right")


def calls(client: Client, times: int, path: str = "/api/v1/models/", **headers: str) -> list[Any]:
    return [client.get(path, headers=headers) for _ in range(times)]


def test_a_token_has_its_own_count(ada: User, tight: None) -> None:
    first, second = (ApiToken.issue(user=ada, name=name)[1] for name in "ab")
    answers = calls(Client(), 4, Authorization=f"Bearer {first}")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["status"] == 429
    assert calls(Client(), 1, Authorization=f"Bearer {second}")[0].status_code == 200


def test_who_says_nothing_is_counted_by_address(ada: User, tight: None) -> None:
    assert [answer.status_code for answer in calls(Client(), 3)] == [401, 401, 401]
    docs = calls(Client(), 3, "/api/schema/")
    assert [answer.status_code for answer in docs] == [200, 200, 429]
    elsewhere = Client(REMOTE_ADDR="10.0.0.9")
    assert calls(elsewhere, 1, "/api/schema/")[0].status_code == 200


def test_guesses_are_slowed_down_and_good_ones_are_not(ada: User, tight: None) -> None:
    bad = calls(Client(), 4, Authorization="Bearer nrd_guess")
    assert [answer.status_code for answer in bad] == [401, 401, 429, 429]
    assert bad[-1]["Retry-After"]
    good = ApiToken.issue(user=ada, name="good")[1]
    assert calls(Client(), 1, Authorization=f"Bearer {good}")[0].status_code == 200


def test_writes_have_a_limit_of_their_own(ada: User, tight: None, settings: Any) -> None:
    settings.NEREID_THROTTLES = {"callers": "9/minute", "writes": "2/minute"}
    first, second = (
        {"Authorization": f"Bearer {ApiToken.issue(user=ada, name=name)[1]}"} for name in "ab"
    )
    path = "/api/v1/models/"
    sent = [Client().post(path, {}, "application/json", headers=first) for _ in range(3)]
    assert [answer.status_code for answer in sent] == [400, 400, 429]
    assert sent[-1]["Retry-After"]
    assert calls(Client(), 1, path, **first)[0].status_code == 200
    assert Client().post(path, {}, "application/json", headers=second).status_code == 400
    # What applications report comes in masses, and moves nothing.
    feedback = "/api/v1/endpoints/none/feedback/"
    assert Client().post(feedback, {}, "application/json", headers=first).status_code != 429


def test_health_is_asked_as_often_as_one_likes(ada: User, tight: None) -> None:
    assert 429 not in [a.status_code for a in calls(Client(), 5, "/api/v1/health/")]


def test_passwords_are_not_guessed(ada: User, tight: None) -> None:
    login, client = reverse("admin:login"), Client()
    wrong = {"username": "ada", "password": "wrong"}
    right = {"username": "ada", "password": "right"}
    assert [client.post(login, wrong).status_code for _ in range(2)] == [200, 200]
    refused = client.post(login, right)
    assert refused.status_code == 429
    assert refused["Retry-After"]
    assert b"Try again in" in refused.content
    assert Client(REMOTE_ADDR="10.0.0.9").post(login, right).status_code == 302
    assert client.get(login).status_code == 200


def test_right_passwords_are_not_counted(ada: User, tight: None) -> None:
    for _ in range(4):
        answer = Client().post(reverse("admin:login"), {"username": "ada", "password": "right"})
        assert answer.status_code == 302


def test_processes_count_together(tight: None, broker: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", broker)
    said = [
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE], check=True, capture_output=True, text=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["None", "None"]
    assert throttling.throttle().count("callers", "ada") is None
    assert throttling.throttle().count("callers", "ada") is not None


def test_while_the_store_is_away_a_process_counts_by_itself(tmp_path: Any, settings: Any) -> None:
    settings.NEREID_THROTTLES = {"callers": "1/minute"}
    with EmbeddedBroker(tmp_path) as gone:
        throttle = Throttle(gone.url)
        assert throttle.count("callers", "ada") is None
        assert throttle.count("callers", "ada") is not None
    assert throttle.count("callers", "ada") is None
    assert throttle._away_until > 0
    assert throttle.count("callers", "ada") is not None


def test_off_is_off(settings: Any) -> None:
    settings.NEREID_THROTTLES = {}
    throttle = Throttle("memory://")
    assert {throttle.count("callers", "ada") for _ in range(50)} == {None}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "1.1.1.1", "9.9.9.9"),
        (1, "", "9.9.9.9"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (3, "1.1.1.1", "1.1.1.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "nonsense", "nonsense"),
    ],
)
def test_the_address_behind_proxies(
    proxies: int, forwarded: str, address: str, settings: Any
) -> None:
    settings.NEREID_TRUSTED_PROXIES = proxies
    more = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    assert address_of(RequestFactory().get("/", REMOTE_ADDR="9.9.9.9", **more)) == address


def test_the_settings() -> None:
    assert throttles({}) == {name: default for name, (_, default) in DEFAULTS.items()}
    assert throttles({"NEREID_THROTTLE_CALLERS": "5/second"})["callers"] == "5/second"
    assert "logins" not in throttles({"NEREID_THROTTLE_LOGINS": "off"})
    with pytest.raises(ImproperlyConfigured, match="NEREID_THROTTLE_LOGINS=often"):
        throttles({"NEREID_THROTTLE_LOGINS": "often"})
    assert store({"CELERY_BROKER_URL": "redis://h/0"}) == "redis://h/0"
    assert store({"CELERY_BROKER_URL": "amqp://h"}) == "memory://"
    assert store({"NEREID_THROTTLE_STORE": "redis://x"}) == "redis://x"
    with pytest.raises(ImproperlyConfigured):
        trusted_proxies({"NEREID_TRUSTED_PROXIES": "all"})
