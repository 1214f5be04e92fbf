"""A plan that a server cannot run is refused, with the server, the backend and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control_plane.domain.planning.backends import (
    Backend,
    BackendKind,
    Equipped,
    check_backends,
    lacks,
)
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.domain.violations import InvalidInputError, Violation
from tests.support.plans import plan, policy, version

NATIVE, PYTHON = BackendKind.NATIVE, BackendKind.PYTHON


def server(name: str = "lab-1", **kinds: BackendKind) -> Equipped:
    return Equipped(name, tuple(Backend(backend, kind) for backend, kind in kinds.items()))


def refused(compiled: Plan, *servers: Equipped) -> list[Violation]:
    with pytest.raises(InvalidInputError) as caught:
        check_backends(compiled, servers)
    return list(caught.value.violations)


@pytest.mark.parametrize("kind", [NATIVE, PYTHON])
def test_either_kind_runs_the_same_plan(kind: BackendKind) -> None:
    check_backends(plan(1, (1, 10000)), [server(onnxruntime=kind, python=NATIVE, traffic=NATIVE)])


def test_servers_of_which_nothing_is_known_hold_nothing_up() -> None:
    check_backends(plan(1, (1, 10000)), [])


def test_a_missing_backend_is_named_with_its_server_and_what_to_do() -> None:
    whole = server("whole", onnxruntime=NATIVE, traffic=NATIVE)
    [first, second] = refused(
        plan(1, (1, 9000), (2, 1000)), whole, server("bare", traffic=NATIVE, python=NATIVE)
    )
    assert (first.pointer, first.code) == ("/arms/0/version", "backend")
    assert second.pointer == "/arms/1/version"
    assert "digits version 1" in first.detail
    assert "server bare has no backend onnxruntime (it has: python, traffic)" in first.detail
    assert "backend directory" in first.detail
    assert "nereid servers remove" in first.detail


def test_a_python_based_backend_needs_the_one_that_runs_it() -> None:
    [found] = refused(plan(1, (1, 10000)), server(onnxruntime=PYTHON, traffic=NATIVE))
    assert "no backend python, which runs its Python-based onnxruntime" in found.detail


def test_a_server_without_the_router_serves_nothing() -> None:
    [found] = refused(plan(1, (1, 10000)), server(onnxruntime=NATIVE))
    assert found.pointer == ""
    assert "the router digits: server lab-1 has no backend traffic" in found.detail


def pytorch(file: str) -> Plan:
    spec = replace(version(1), framework="pytorch", files={file: "0" * 64})
    return compile_plan(
        endpoint="digits",
        generation=1,
        policy=policy((1, 10000)),
        versions={("digits", 1): spec},
    )


def test_an_exported_program_needs_our_backend() -> None:
    native = server(pytorch=NATIVE, traffic=NATIVE)
    check_backends(pytorch("model.pt"), [native])
    [found] = refused(pytorch("model.pt2"), native)
    assert "TorchScript" in found.detail
    check_backends(pytorch("model.pt2"), [server(pytorch=PYTHON, python=NATIVE, traffic=NATIVE)])


def test_a_record_of_a_backend_survives_the_round_trip() -> None:
    one = Backend("onnxruntime", PYTHON, "1.24.1")
    assert Backend.from_document(one.to_document()) == one
    assert str(one) == "onnxruntime 1.24.1 (Python-based)"


@pytest.mark.parametrize(
    ("config", "links", "triton_version", "says"),
    [
        ({"model_metrics": {}}, (), "2.51.0", "2.51.0, which reads no model_metrics"),
        ({"model_metrics": {}}, (), "2.52.0", ""),
        ({"model_metrics": {}}, (), "", ""),
        ({"backend": "fil"}, (), "2.51.0", "no backend fil"),
        ({"backend": "fil"}, ("1/libtriton_fil.so",), "2.51.0", ""),
        ({"backend": "fil", "runtime": "own.so"}, ("1/own.so",), "2.51.0", ""),
        ({"cc_model_filenames": {"8.0": "a.onnx"}}, (), "2.51.0", "files for some GPUs"),
    ],
)
def test_what_a_configuration_needs_of_a_server(
    config: dict[str, Any], links: tuple[str, ...], triton_version: str, says: str
) -> None:
    whole = {"backend": "onnxruntime", **config}
    model = ModelDirectory("m", {"cpu": whole}, dict.fromkeys(links, "0"), {})
    has = (Backend("onnxruntime", BackendKind.PYTHON), Backend("python", BackendKind.NATIVE))
    found = list(lacks(model, [Equipped("lab", has, "cpu", triton_version)]))
    assert len(found) == bool(says)
    assert says in "".join(found)
