"""The API over a real database, a real artifact store and a real inspector."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from control_plane import wiring
from control_plane.access.models import ApiToken
from control_plane.access.roles import role_group
from control_plane.domain.access import Role
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from tests.support.fakes import FakeQueue
from tests.support.plans import DIGITS

SAMPLES = Path(__file__).resolve().parents[3] / "model_repository" / "samples" / "digits"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    fake = FakeQueue()
    monkeypatch.setattr(wiring, "queue", lambda: fake)
    return fake


class Api:
    """Calls as a program makes them; `token` None is nobody."""

    def __init__(self, token: str | None) -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        extra: dict[str, Any] = {"headers": {**self._headers, **headers}}
        if body is not None:
            extra |= {"data": json.dumps(body), "content_type": "application/json"}
        return getattr(self._client, method)(f"/api/v1/{path}", **extra)

    def get(self, path: str) -> Any:
        return self.call("get", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("post", path, body if body is not None else {})

    def put_policy(self, endpoint: str, policy: Any, if_match: str | None = "*") -> Any:
        headers = {"If-Match": if_match} if if_match else {}
        return self.call("put", f"endpoints/{endpoint}/policy/", policy, **headers)

    def upload(self, model: str, path: Path, metadata: Any = None) -> Any:
        with path.open("rb") as file:
            data: dict[str, Any] = {"artifact": file}
            if metadata is not None:
                data["metadata"] = metadata if isinstance(metadata, str) else json.dumps(metadata)
            return self._client.post(
                f"/api/v1/models/{model}/versions/", data=data, headers=self._headers
            )


def token_of(username: str, **rights: bool) -> str:
    user = get_user_model().objects.create_user(username, password="x", **rights)
    return ApiToken.issue(user=user, name="test")[1]


@pytest.fixture
def api(db: None, queue: FakeQueue) -> Api:
    """The API as an administrator."""
    return Api(token_of("ada", is_superuser=True))


@pytest.fixture
def reader(db: None, queue: FakeQueue) -> Api:
    """The API as somebody who may read only."""
    token = token_of("ben")
    get_user_model().objects.get(username="ben").groups.add(role_group(Role.VIEWER))
    return Api(token)


@pytest.fixture
def publisher(db: None, queue: FakeQueue) -> Api:
    """The API as somebody who may push versions, and no code."""
    token = token_of("pia")
    may = Permission.objects.get(codename="add_modelversion")
    get_user_model().objects.get(username="pia").user_permissions.add(may)
    return Api(token)


@pytest.fixture
def digits(api: Api) -> Api:
    """The API with two ready versions of `digits` and an endpoint of that name."""
    api.post("models/", {"name": "digits"})
    for number in (1, 2):
        with (SAMPLES / f"v{number}/model.onnx").open("rb") as file:
            sha256, size = wiring.artifact_store().add(file)
        ModelVersion.objects.create(
            model=Model.objects.get(name="digits"),
            number=number,
            framework="onnx",
            artifact=Artifact.objects.create(sha256=sha256, size=size),
            filename="model.onnx",
            profile="realtime",
            state=VersionState.READY,
            signature=DIGITS.to_document(),
        )
    api.post("endpoints/", {"name": "digits"})
    return api


@pytest.fixture
def weights() -> Callable[..., dict[str, Any]]:
    """A policy over versions of `digits` from percents; the first is the primary."""

    def policy(*percents: float) -> dict[str, Any]:
        return {
            "arms": [
                {"model": "digits", "version": i + 1, "weight": p, "primary": i == 0}
                for i, p in enumerate(percents)
            ]
        }

    return policy
