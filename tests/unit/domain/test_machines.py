"""Server flags and hardware profiles: the files that come along, what is refused, what they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from control_plane.adapters import machines
from control_plane.adapters.machines import (
    CONFIGS,
    MachineFileError,
    hardware_names,
    load_hardware,
    load_server,
    server_names,
)
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.serving.hardware import HardwareProfile
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.server_flags import ServerFlags
from tests.support.plans import version


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of files in place of those that come along."""
    monkeypatch.setattr(machines, "CONFIGS", tmp_path)
    for kind in ("server", "hardware"):
        (tmp_path / kind).mkdir()
    for load in (load_server, load_hardware):
        load.cache_clear()
    yield tmp_path
    for load in (load_server, load_hardware):
        load.cache_clear()


def flags(**said: Any) -> set[str]:
    return set(ServerFlags(name="s", **said).flags(has_gpu=True))


def test_every_file_that_comes_along_is_one_and_says_why() -> None:
    assert {"default", "cached", "shared", "large-gpu"} <= set(server_names())
    assert {"cpu-small", "cpu-large", "one-gpu", "many-gpu"} <= set(hardware_names())
    for kind, load in (("server", load_server), ("hardware", load_hardware)):
        for path in (CONFIGS / kind).glob("*.yaml"):
            assert path.read_text().startswith("# "), f"{path.name} begins with no reason"
            assert load(path.stem).description  # type: ignore[operator]


def test_words_become_tritons_flags() -> None:
    assert {
        "--model-load-thread-count=8",
        "--exit-timeout-secs=9",
        "--rate-limit=execution_count",
        "--rate-limit-resource=heavy:2",
        "--rate-limit-resource=copies:4:1",
        "--pinned-memory-pool-byte-size=1024",
        "--cuda-memory-pool-byte-size=0:2048",
        "--buffer-manager-thread-count=3",
        "--http-thread-count=16",
        "--metrics-interval-ms=500",
        "--backend-config=onnxruntime,enable-global-threadpool=1",
    } == flags(
        model_load_thread_count=8,
        exit_timeout_seconds=9,
        rate_limit=True,
        rate_limit_resources=[
            {"name": "heavy", "count": 2},
            {"name": "copies", "count": 4, "device": 1},
        ],
        pinned_memory_pool_bytes=1024,
        cuda_memory_pool_bytes={0: 2048},
        buffer_manager_thread_count=3,
        http_thread_count=16,
        metrics_interval_ms=500,
        backend_config={"onnxruntime": {"enable-global-threadpool": "1"}},
    )


def test_without_a_gpu_its_pools_are_not_asked_for() -> None:
    large = ServerFlags(name="s", pinned_memory_pool_bytes=1, cuda_memory_pool_bytes={0: 1})
    assert not [flag for flag in large.flags(has_gpu=False) if "pool" in flag]


@pytest.mark.parametrize(
    "said",
    [
        {"model_load_thread_count": 2},  # nothing left for models beside the routers
        {"rate_limit_resources": [{"name": "heavy", "count": 1}]},
        {"backend_config": {"python": {"shm-region-prefix-name": "mine"}}},
        {"backend_config": {"python": {"shm-region-prefix-name=mine,x": "y"}}},
        {"backend_config": {"python,shm-region-prefix-name=mine": {"x": "y"}}},
        {"rate_limit": True, "rate_limit_resources": [{"name": "heavy:1", "count": 1}]},
        {"model_repository": "/srv"},
        {"response_cache_bytes": -1},
        {"rate_limit": "yes"},
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerFlags(name="s", **said)


def test_two_load_threads_are_left_for_routers() -> None:
    assert ServerFlags(name="s", model_load_thread_count=6).prepares_at_once == 4


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("none", "", "/accelerator: Field required"),
        ("odd", "accelerator: tpu", "hardware/odd.yaml: /accelerator"),
        ("torn", "accelerator: [", "hardware/torn.yaml"),
        ("many", "accelerator: cpu\ninstances: 900", "/instances"),
        ("list", "- accelerator", "hardware/list.yaml"),
        ("cpu", "accelerator: cpu", "is an accelerator"),
    ],
)
def test_a_file_that_is_none_says_where(folder: Path, name: str, text: str, reason: str) -> None:
    (folder / "hardware" / f"{name}.yaml").write_text(text)
    with pytest.raises(MachineFileError, match=reason):
        load_hardware(name)


def test_a_name_that_is_not_there_is_told_those_that_are(folder: Path) -> None:
    (folder / "server" / "mine.yaml").write_text("description: mine\n")
    assert load_server("mine").model_load_thread_count == 4
    with pytest.raises(MachineFileError, match="triton_configs/server: mine"):
        load_server("../hardware/mine")


LARGE = HardwareProfile(name="large", accelerator="cpu", instances=4, threads=2)


def compiled(profile: dict[str, Any], *hardware: HardwareProfile, **said: str) -> Any:
    spec = replace(
        version(1),
        profile=ServingProfile.from_values("p", profile),
        parameters=said,
        hardware=hardware,
    )
    return physical_directory(spec)


def test_hardware_fills_in_what_a_profile_is_silent_of() -> None:
    made = compiled({"max_batch_size": 8}, LARGE)
    config = made.variants["large"]
    assert config["instance_group"] == [{"count": 4, "kind": "KIND_CPU"}]
    assert config["parameters"] == {"intra_op_thread_count": {"string_value": "2"}}
    assert made.variants["cpu"]["instance_group"] == [{"count": 1, "kind": "KIND_CPU"}]
    assert "parameters" not in made.variants["cpu"]
    assert made.variant_on("cpu", "large") == "large"
    assert made.variant_on("cpu", "other") == made.variant_on("cpu") == "cpu"


def test_what_is_said_goes_before_the_hardware() -> None:
    said = {"instance_group": [{"count": 2}], "parameters": {"intra_op_thread_count": "1"}}
    assert "large" not in compiled(said, LARGE).variants
    own = compiled({"instance_group": [{"count": 2}]}, LARGE, intra_op_thread_count="3")
    assert "large" not in own.variants


def test_a_physical_name_covers_every_hardware_in_use_and_no_other() -> None:
    """So it means the same on every server; a fleet without any has the names that it had."""
    plain = compiled({})
    assert compiled({}, LARGE).name != plain.name
    small = HardwareProfile(name="small", accelerator="cpu")
    assert compiled({}, small) == plain
    said = {"instance_group": [{"count": 2}], "parameters": {"intra_op_thread_count": "1"}}
    assert compiled(said, LARGE).name == compiled(said).name
