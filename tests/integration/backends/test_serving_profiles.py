"""Whatever profile we take, Triton takes: none is refused by the server first."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from hypothesis import given, settings

from backends.build import Target, build
from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.model_config import version_config
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.server_flags import ServerFlags
from control_plane.domain.signature import Signature, Tensor
from tests.support.profiles import profiles
from tests.support.repositories import IDENTITY
from tests.support.triton import RunningTriton, running_triton

ANY_BYTES = Signature(
    inputs=(Tensor("x", "UINT8", (-1, -1)),), outputs=(Tensor("y", "UINT8", (-1, -1)),)
)


@pytest.fixture(scope="module")
def plain() -> Iterator[RunningTriton]:
    """A server with what profiles may use: a response cache and the rate limiter."""
    flags = ServerFlags(name="profiles", response_cache_bytes=1 << 20, rate_limit=True)
    with running_triton("profiles", flags=flags) as server:
        yield server


def load_and_ask(server: RunningTriton, values: dict[str, Any]) -> None:
    """The model under the profile is loaded, answers, and is gone again."""
    profile = ServingProfile.from_values("p", values)
    config = {**version_config("onnx", ANY_BYTES, profile, "cpu"), "backend": IDENTITY.stem}
    config.pop("default_model_filename")
    folder = server.repository / "drawn"
    (folder / "1").mkdir(parents=True, exist_ok=True)
    library = build(Target(f"libtriton_{IDENTITY.stem}.so", (str(IDENTITY),)), verbose=False)
    copy(library, folder / ".fresh")
    (folder / ".fresh").replace(folder / library.name)  # a server may still have the old one mapped
    (folder / "config.pbtxt").write_text(config_text("drawn", config))
    server.load("drawn")
    try:
        # Only a model with a sequence batcher looks at these.
        sequence = {"sequence_id": 1, "sequence_start": True, "sequence_end": True}
        assert answer(server, **sequence if profile.sequence_batching else {}) == [[7, 8]]
    finally:
        server.unload("drawn")


def answer(server: RunningTriton, **sequence: Any) -> Any:
    given = np.array([[7, 8]], dtype=np.uint8)
    tensor = grpcclient.InferInput("x", given.shape, "UINT8")
    tensor.set_data_from_numpy(given)
    return server.grpc_client().infer("drawn", [tensor], **sequence).as_numpy("y").tolist()


@settings(max_examples=25, deadline=None)
@given(values=profiles())
def test_every_valid_profile_is_loaded_and_answers(
    plain: RunningTriton, values: dict[str, Any]
) -> None:
    load_and_ask(plain, values)


@pytest.mark.long
@settings(max_examples=1000, deadline=None)
@given(values=profiles())
def test_every_valid_profile_is_loaded_and_answers_many(
    plain: RunningTriton, values: dict[str, Any]
) -> None:
    load_and_ask(plain, values)


@pytest.mark.parametrize("path", sorted(Path("triton_configs/profiles").glob("*.toml")), ids=str)
def test_every_profile_that_comes_along_is_loaded_and_answers(
    plain: RunningTriton, path: Path
) -> None:
    load_and_ask(plain, tomllib.loads(path.read_text()))
